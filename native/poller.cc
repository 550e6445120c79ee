#include "poller.h"

#include <algorithm>
#include <cerrno>
#include <sys/eventfd.h>
#include <unistd.h>

namespace sockswitch {

namespace {

constexpr size_t kStatusBytes = 4096;
// Bounds on one loop turn, so that timers and other descriptors get theirs.
constexpr int kMaxEventsPerTurn = 256;
constexpr uint64_t kMaxTurnNs = 200'000;
constexpr int kMaxRoundsPerTurn = 32;
// Looks between two readings of the clock.
constexpr int kLooksPerClock = 16;
// Whoever spins is no better than any other program in the eyes of the scheduler, and loses the CPU for whole time slices;
// whoever has slept gets it at once. Where spinning costs more than this each time, in the mean over about 500, it pauses for
// so many times as long as it was away. (A collector of garbage, which takes the CPU once in a while, costs less.)
constexpr uint64_t kMaxLossNs = 10'000;
constexpr uint64_t kLossMean = 512;
constexpr uint64_t kCrowdedPause = 32;
constexpr uint64_t kMaxCrowdedPauseNs = 200'000'000;
// Shorter than this is the spin itself.
constexpr uint64_t kAwayNs = 30'000;
// A peer that collects garbage is late now and then: so many failures in a row change nothing, and each further one
// doubles the number of waits that pass before the next try, up to 2 to the power of kMaxDoublings.
constexpr uint32_t kForgiven = 2;
constexpr uint32_t kMaxDoublings = 10;
// A sleep that ended soon may have been worth a spin: it counts as this many waits.
constexpr uint32_t kQuickWakeCredit = 8;
// It spins for twice as long as it had to wait of late, but at least so long.
constexpr uint64_t kMinSpinNs = 20'000;

void Relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

}  // namespace

Poller::Poller(uv_loop_t* loop, Drain drain, void* context) : loop_(loop), drain_(drain), context_(context) {}

int Poller::Start() {
  doorbell_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (doorbell_ < 0) return -errno;
  status_fd_ = CreateMemory(kStatusBytes, &status_);
  if (status_fd_ < 0) {
    close(doorbell_);
    return status_fd_;
  }
  words_ = static_cast<SharedWord*>(status_.data);

  prepare_.data = check_.data = idle_.data = poll_.data = this;
  int error = uv_poll_init(loop_, &poll_, doorbell_);
  if (error != 0) return error;
  uv_prepare_init(loop_, &prepare_);
  uv_check_init(loop_, &check_);
  uv_idle_init(loop_, &idle_);
  open_handles_ = 4;
  uv_poll_start(&poll_, UV_READABLE, [](uv_poll_t* handle, int, int) { static_cast<Poller*>(handle->data)->OnDoorbell(); });
  uv_prepare_start(&prepare_, [](uv_prepare_t* handle) { static_cast<Poller*>(handle->data)->OnPrepare(); });
  uv_check_start(&check_, [](uv_check_t* handle) { static_cast<Poller*>(handle->data)->OnCheck(); });
  for (uv_handle_t* handle : {reinterpret_cast<uv_handle_t*>(&poll_), reinterpret_cast<uv_handle_t*>(&prepare_),
                              reinterpret_cast<uv_handle_t*>(&check_), reinterpret_cast<uv_handle_t*>(&idle_)}) {
    uv_unref(handle);
  }
  return 0;
}

void Poller::Close(void (*done)(void*)) {
  done_ = done;
  auto closed = [](uv_handle_t* handle) {
    auto* poller = static_cast<Poller*>(handle->data);
    if (--poller->open_handles_ != 0) return;
    close(poller->doorbell_);
    if (poller->status_fd_ >= 0) close(poller->status_fd_);
    Unmap(poller->status_);
    poller->done_(poller->context_);
  };
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&prepare_), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&check_), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&idle_), closed);
}

void Poller::Watch(size_t slot, const SharedWord* produced, const SharedWord* consumed) {
  if (slot >= links_.size()) links_.resize(slot + 1);
  links_[slot] = {produced, consumed};
}

void Poller::Unwatch(size_t slot) {
  if (slot >= links_.size()) return;
  links_[slot] = {};
  while (!links_.empty() && links_.back().produced == nullptr) links_.pop_back();
}

void Poller::AddSource(PollSource* source, uint64_t spin_ns) {
  sources_.push_back(source);
  source_spin_ns_ = std::max(source_spin_ns_, spin_ns);
  typical_wait_ns_ = MaxSpin() + 1;
}

void Poller::RemoveSource(PollSource* source) {
  sources_.erase(std::remove(sources_.begin(), sources_.end(), source), sources_.end());
}

void Poller::KeepAlive(bool on) {
  auto* handle = reinterpret_cast<uv_handle_t*>(&poll_);
  on ? uv_ref(handle) : uv_unref(handle);
}

bool Poller::LinksReady() const {
  if (local_) return true;
  for (const Link& link : links_) {
    if (link.produced != nullptr &&
        link.produced->load(std::memory_order_acquire) != link.consumed->load(std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

bool Poller::SourcesReady() const {
  for (PollSource* source : sources_) {
    if (source->ready(source->context)) return true;
  }
  return false;
}

void Poller::RunReady() {
  uint64_t end = uv_hrtime() + kMaxTurnNs;
  stats_.turns++;
  for (int events = 0; events < kMaxEventsPerTurn && Ready(); events++) {
    local_ = false;
    // The callback may itself ask for another turn; both ways of saying so count.
    if (drain_(context_)) local_ = true;
    if ((events & 7) == 7 && uv_hrtime() > end) return;
  }
}

bool Poller::MaySpin() {
  // Waits that are longer than it may spin are not shortened by spinning.
  if (typical_wait_ns_ > MaxSpin() || waiting_since_ns_ < crowded_until_ns_) return false;
  if (skip_ == 0) return true;
  skip_--;
  return false;
}

// True when there is work. A failure makes the next spins rarer, a success more frequent.
bool Poller::Spin() {
  stats_.spins++;
  uint64_t budget = std::min(MaxSpin(), std::max(kMinSpinNs, 2 * typical_wait_ns_));
  uint64_t start = waiting_since_ns_;
  uint64_t now = start;
  loss_ns_ -= loss_ns_ / kLossMean;
  while (now - start < budget) {
    // A look at a source costs system calls, one at a link next to nothing.
    bool found = SourcesReady();
    for (int i = 0; i < kLooksPerClock && !found; i++) {
      found = LinksReady();
      if (!found) Relax();
    }
    if (found) {
      stats_.hits++;
      misses_ /= 2;
      NoteWait(now - start);
      return true;
    }
    uint64_t before = now;
    now = uv_hrtime();
    if (now - before > kAwayNs) NoteLoss(now - before, now);
  }
  if (Ready()) return true;
  misses_ = std::min(misses_ + 1, kForgiven + kMaxDoublings);
  skip_ = misses_ <= kForgiven ? 0 : 1U << (misses_ - kForgiven);
  return false;
}

void Poller::NoteLoss(uint64_t ns, uint64_t now) {
  loss_ns_ += ns / kLossMean;
  if (loss_ns_ > kMaxLossNs) crowded_until_ns_ = now + std::min(kMaxCrowdedPauseNs, kCrowdedPause * ns);
}

void Poller::OnPrepare() {
  KeepTurning(false);
  if (Ready()) RunReady();
  // Nobody knows the doorbell yet, or any more.
  if (links_.empty() && sources_.empty() && !local_) return;
  bool waits = false;
  uint64_t turn_end = 0;
  // A bounded number of rounds; then the loop's other descriptors are looked at, and it comes back here.
  for (int round = 0; round < kMaxRoundsPerTurn && !Ready(); round++) {
    // Zero means that the loop has other work, or that descriptors are being added: then it must not spin.
    if (uv_backend_timeout(loop_) == 0) break;
    uint64_t now = uv_hrtime();
    if (turn_end == 0) turn_end = now + kMaxTurnNs;
    if (now > turn_end) break;
    waiting_since_ns_ = now;
    waits = !MaySpin() || !Spin();
    if (waits) break;
    RunReady();
  }
  // Ready, or busy with something else: the loop comes round again by itself, and the peers are spared the bell.
  if (waits && !Ready()) {
    Arm();
  } else {
    KeepTurning(true);
  }
}

// From here on a writer rings; whatever it wrote before it could see the flag is found by looking once more.
void Poller::Arm() {
  words_[kStatusEpoch].fetch_add(1, std::memory_order_relaxed);
  words_[kStatusSleeping].store(1, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  armed_ = true;
  bool may_sleep = !LinksReady();
  for (PollSource* source : sources_) may_sleep = may_sleep && source->arm(source->context);
  if (!may_sleep) {
    Disarm();
    KeepTurning(true);
  } else {
    stats_.sleeps++;
  }
}

void Poller::Disarm() {
  if (!armed_) return;
  words_[kStatusSleeping].store(0, std::memory_order_relaxed);
  armed_ = false;
}

void Poller::OnCheck() {
  bool slept = armed_;
  Disarm();
  if (!Ready()) return;
  if (slept && MaxSpin() > 0) {
    uint64_t wait = uv_hrtime() - waiting_since_ns_;
    NoteWait(wait);
    if (wait <= MaxSpin()) skip_ -= std::min(skip_, kQuickWakeCredit);
  }
  RunReady();
}

// A moving average over about four waits; a long idle time counts as little more than one that is too long to spin for.
void Poller::NoteWait(uint64_t ns) {
  uint64_t wait = std::min(ns, 4 * MaxSpin());
  typical_wait_ns_ = (3 * typical_wait_ns_ + wait) / 4;
}

void Poller::OnDoorbell() {
  uint64_t rings;
  if (read(doorbell_, &rings, sizeof rings) == static_cast<ssize_t>(sizeof rings)) stats_.wakes += rings;
}

// An idle handle makes the loop poll without waiting and come round again.
void Poller::KeepTurning(bool on) {
  if (on == turning_) return;
  turning_ = on;
  if (on) {
    uv_idle_start(&idle_, [](uv_idle_t*) {});
  } else {
    uv_idle_stop(&idle_);
  }
}

}  // namespace sockswitch
