// What the poller of an event loop asks of another addon that brings work to the same loop. Plain C, because the two are
// linked apart.
#pragma once

namespace sockswitch {

extern "C" struct PollSource {
  void* context;
  // Looks for work without waiting; true while some is left.
  bool (*ready)(void* context);
  // The loop is about to sleep: false when there is work after all. From true on, the source's descriptors wake the loop.
  bool (*arm)(void* context);
};

}  // namespace sockswitch
