// What the addons and the TypeScript above them agree on.
#pragma once

namespace sockswitch {

// Goes up whenever a function of an addon changes; src/native/load.ts holds the same number.
constexpr int kInterface = 2;

}  // namespace sockswitch
