// Drives one event loop: looks at the links' notification cursors, spins for a bounded time, sleeps on a doorbell.
// docs/doorbell-protocol.md has the protocol; models/ checks it.
#pragma once
#include <atomic>
#include <cstdint>
#include <uv.h>
#include <vector>

#include "memory.h"
#include "poll_source.h"

namespace sockswitch {

using SharedWord = std::atomic<uint32_t>;
static_assert(sizeof(SharedWord) == 4 && SharedWord::is_always_lock_free, "shared words must be plain 32-bit memory");

// Words of the status page, written by its owner only.
constexpr size_t kStatusSleeping = 0;
constexpr size_t kStatusEpoch = 1;

struct PollerStats {
  uint64_t turns = 0;    // loop turns that found work
  uint64_t spins = 0;    // times it spun
  uint64_t hits = 0;     // spins that found work
  uint64_t sleeps = 0;   // times it armed the doorbell
  uint64_t wakes = 0;    // doorbell rings received
};

class Poller {
 public:
  // Runs one event; answers whether local work is left. Called only when something is ready.
  using Drain = bool (*)(void* context);

  Poller(uv_loop_t* loop, Drain drain, void* context);
  // 0 or -errno. The doorbell and the status page exist afterwards.
  int Start();
  // Closes the handles, then calls `done`, which may delete the poller.
  void Close(void (*done)(void* context));

  // The longest it may spin before it sleeps; 0 never.
  void SetSpin(uint64_t nanoseconds) {
    max_spin_ns_ = nanoseconds;
    // Nothing is known yet: the first waits decide.
    typical_wait_ns_ = nanoseconds + 1;
  }
  // `produced` is the peer's cursor, `consumed` ours; the slot numbers are the caller's.
  void Watch(size_t slot, const SharedWord* produced, const SharedWord* consumed);
  void Unwatch(size_t slot);
  // A source's peers run on other hosts: where nobody here is waited for, it may spin for `spin_ns` even on the only CPU.
  void AddSource(PollSource* source, uint64_t spin_ns);
  void RemoveSource(PollSource* source);
  // There is work that no link announces.
  void Wake() { local_ = true; }
  void KeepAlive(bool on);

  int doorbell() const { return doorbell_; }
  int status_fd() const { return status_fd_; }
  const Mapping& status() const { return status_; }
  const PollerStats& stats() const { return stats_; }

 private:
  struct Link {
    const SharedWord* produced = nullptr;
    const SharedWord* consumed = nullptr;
  };

  void OnPrepare();
  void OnCheck();
  void OnDoorbell();
  bool LinksReady() const;
  bool SourcesReady() const;
  bool Ready() const { return LinksReady() || SourcesReady(); }
  void RunReady();
  bool MaySpin();
  void NoteWait(uint64_t ns);
  void NoteLoss(uint64_t ns, uint64_t now);
  bool Spin();
  void Arm();
  void Disarm();
  void KeepTurning(bool on);

  uv_loop_t* loop_;
  Drain drain_;
  void* context_;
  void (*done_)(void*) = nullptr;
  int open_handles_ = 0;

  uv_prepare_t prepare_{};
  uv_check_t check_{};
  uv_idle_t idle_{};
  uv_poll_t poll_{};
  bool turning_ = false;

  int doorbell_ = -1;
  int status_fd_ = -1;
  Mapping status_{};
  SharedWord* words_ = nullptr;
  std::vector<Link> links_;
  std::vector<PollSource*> sources_;
  bool local_ = false;
  bool armed_ = false;

  uint64_t MaxSpin() const { return links_.empty() && !sources_.empty() ? source_spin_ns_ : max_spin_ns_; }

  uint64_t max_spin_ns_ = 0;
  uint64_t source_spin_ns_ = 0;
  uint64_t waiting_since_ns_ = 0;
  uint64_t typical_wait_ns_ = 1;
  // Spins that failed of late, and waits to let pass before the next one.
  uint32_t misses_ = 0;
  uint32_t skip_ = 0;
  // What a spin costs where others want the CPU, and how long not to try again.
  uint64_t loss_ns_ = 0;
  uint64_t crowded_until_ns_ = 0;
  PollerStats stats_;
};

}  // namespace sockswitch
