#include <cerrno>
#include <memory>
#include <string>

#include "binding.h"
#include "poller.h"

namespace sockswitch {
namespace {

// The poller of an event loop; one drain of it is one call of JavaScript.
class JsPoller : public Napi::ObjectWrap<JsPoller> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Poller",
                       {InstanceMethod<&JsPoller::Watch>("watch"), InstanceMethod<&JsPoller::Unwatch>("unwatch"),
                        InstanceMethod<&JsPoller::Wake>("wake"), InstanceMethod<&JsPoller::KeepAlive>("keepAlive"),
                        InstanceMethod<&JsPoller::AddSource>("addSource"),
                        InstanceMethod<&JsPoller::RemoveSource>("removeSource"), InstanceMethod<&JsPoller::Stats>("stats"),
                        InstanceAccessor<&JsPoller::Doorbell>("doorbell"),
                        InstanceAccessor<&JsPoller::StatusFd>("statusFd")});
  }

  explicit JsPoller(const Napi::CallbackInfo& info) : Napi::ObjectWrap<JsPoller>(info) {
    napi_env env = info.Env();
    uv_loop_t* loop = nullptr;
    napi_get_uv_event_loop(env, &loop);
    state_ = new State(env, info[1]);
    state_->poller = std::make_unique<Poller>(loop, OnDrain, state_);
    state_->poller->SetSpin(static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()));
    int error = state_->poller->Start();
    if (error != 0) {
      Napi::Error::New(env, std::string("Cannot start the poller: ") + uv_strerror(error)).ThrowAsJavaScriptException();
      return;
    }
    napi_add_async_cleanup_hook(env, OnCleanup, state_, &state_->hook);
    // One per event loop, for as long as the loop lives.
    Ref();
  }

 private:
  struct State {
    State(napi_env env, napi_value function) : callback(env, function) {}
    Callback callback;
    napi_async_cleanup_hook_handle hook = nullptr;
    std::unique_ptr<Poller> poller;
    bool closing = false;
  };

  static bool OnDrain(void* context) {
    auto* state = static_cast<State*>(context);
    if (state->closing) return false;
    napi_env env = state->callback.env();
    Napi::HandleScope scope(env);
    napi_value result = state->callback.Call();
    bool more = true;
    if (result == nullptr) return more;
    if (napi_get_value_bool(env, result, &more) != napi_ok) CallOutside(env, result);
    return more;
  }

  static void OnCleanup(napi_async_cleanup_hook_handle, void* data) {
    auto* state = static_cast<State*>(data);
    state->closing = true;
    state->poller->Close([](void* context) {
      auto* state = static_cast<State*>(context);
      napi_async_cleanup_hook_handle hook = state->hook;
      delete state;
      napi_remove_async_cleanup_hook(hook);
    });
  }

  static const SharedWord* WordArgument(const Napi::CallbackInfo& info, size_t index) {
    Napi::ArrayBuffer buffer = info[index].As<Napi::ArrayBuffer>();
    auto offset = static_cast<size_t>(info[index + 1].As<Napi::Number>().Int64Value());
    if (offset % 4 != 0 || offset + 4 > buffer.ByteLength()) return nullptr;
    return reinterpret_cast<const SharedWord*>(static_cast<uint8_t*>(buffer.Data()) + offset);
  }

  // watch(slot, peerBuffer, producedOffset, ownBuffer, consumedOffset)
  Napi::Value Watch(const Napi::CallbackInfo& info) {
    const SharedWord* produced = WordArgument(info, 1);
    const SharedWord* consumed = WordArgument(info, 3);
    if (produced == nullptr || consumed == nullptr) return Answer(info, -EINVAL);
    state_->poller->Watch(static_cast<size_t>(IntArgument(info, 0)), produced, consumed);
    return Answer(info, 0);
  }

  Napi::Value Unwatch(const Napi::CallbackInfo& info) {
    state_->poller->Unwatch(static_cast<size_t>(IntArgument(info, 0)));
    return info.Env().Undefined();
  }

  // addSource(external, spinNanoseconds), of another addon of ours
  Napi::Value AddSource(const Napi::CallbackInfo& info) {
    state_->poller->AddSource(info[0].As<Napi::External<PollSource>>().Data(),
                              static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value()));
    return info.Env().Undefined();
  }

  Napi::Value RemoveSource(const Napi::CallbackInfo& info) {
    state_->poller->RemoveSource(info[0].As<Napi::External<PollSource>>().Data());
    return info.Env().Undefined();
  }

  Napi::Value Wake(const Napi::CallbackInfo& info) {
    state_->poller->Wake();
    return info.Env().Undefined();
  }

  Napi::Value KeepAlive(const Napi::CallbackInfo& info) {
    state_->poller->KeepAlive(info[0].As<Napi::Boolean>().Value());
    return info.Env().Undefined();
  }

  Napi::Value Stats(const Napi::CallbackInfo& info) {
    const PollerStats& stats = state_->poller->stats();
    return AnswerCounters(info, {{"turns", stats.turns},
                                 {"spins", stats.spins},
                                 {"hits", stats.hits},
                                 {"sleeps", stats.sleeps},
                                 {"wakes", stats.wakes}});
  }

  Napi::Value Doorbell(const Napi::CallbackInfo& info) { return Answer(info, state_->poller->doorbell()); }
  Napi::Value StatusFd(const Napi::CallbackInfo& info) { return Answer(info, state_->poller->status_fd()); }

  State* state_ = nullptr;
};

}  // namespace

Napi::Function DefinePoller(Napi::Env env) { return JsPoller::Define(env); }

}  // namespace sockswitch
