// What the JavaScript faces of the addons share.
#pragma once

#include <cstdint>
#include <napi.h>

#include "callback.h"

namespace sockswitch {

inline int32_t IntArgument(const Napi::CallbackInfo& info, size_t index) {
  return info[index].As<Napi::Number>().Int32Value();
}

inline Napi::Value Answer(const Napi::CallbackInfo& info, int64_t number) {
  return Napi::Number::New(info.Env(), static_cast<double>(number));
}

// The classes of shm.node.
Napi::Function DefineWatcher(Napi::Env env);
Napi::Function DefinePoller(Napi::Env env);

}  // namespace sockswitch
