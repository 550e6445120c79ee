#include <uv.h>

#include "binding.h"

namespace sockswitch {
namespace {

// Tells when a descriptor is readable, without keeping the process alive.
class Watcher : public Napi::ObjectWrap<Watcher> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Watcher", {InstanceMethod<&Watcher::Close>("close")});
  }

  explicit Watcher(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Watcher>(info) {
    napi_env env = info.Env();
    uv_loop_t* loop = nullptr;
    napi_get_uv_event_loop(env, &loop);
    state_ = new State(env, info[1]);
    state_->poll.data = state_;
    if (uv_poll_init(loop, &state_->poll, IntArgument(info, 0)) != 0) {
      state_->callback.Release();
      delete state_;
      state_ = nullptr;
      Napi::Error::New(env, "Cannot watch the descriptor: it cannot be polled").ThrowAsJavaScriptException();
      return;
    }
    uv_poll_start(&state_->poll, UV_READABLE | UV_DISCONNECT, OnReadable);
    uv_unref(reinterpret_cast<uv_handle_t*>(&state_->poll));
    napi_add_async_cleanup_hook(env, OnCleanup, state_, &state_->hook);
    Ref();
  }

 private:
  struct State {
    State(napi_env env, napi_value function) : callback(env, function) {}
    Callback callback;
    uv_poll_t poll{};
    napi_async_cleanup_hook_handle hook = nullptr;
  };

  static void OnReadable(uv_poll_t* poll, int, int) {
    auto* state = static_cast<State*>(poll->data);
    Napi::HandleScope scope(state->callback.env());
    state->callback.Call();
  }

  static void OnCleanup(napi_async_cleanup_hook_handle, void* data) {
    auto* state = static_cast<State*>(data);
    if (uv_is_closing(reinterpret_cast<uv_handle_t*>(&state->poll)) != 0) return;
    uv_close(reinterpret_cast<uv_handle_t*>(&state->poll), [](uv_handle_t* handle) {
      auto* state = static_cast<State*>(handle->data);
      napi_remove_async_cleanup_hook(state->hook);
      delete state;
    });
  }

  Napi::Value Close(const Napi::CallbackInfo& info) {
    if (state_ == nullptr) return info.Env().Undefined();
    State* state = state_;
    state_ = nullptr;
    uv_poll_stop(&state->poll);
    uv_close(reinterpret_cast<uv_handle_t*>(&state->poll), [](uv_handle_t* handle) {
      auto* state = static_cast<State*>(handle->data);
      napi_remove_async_cleanup_hook(state->hook);
      Napi::HandleScope scope(state->callback.env());
      state->callback.Release();
      delete state;
    });
    Unref();
    return info.Env().Undefined();
  }

  State* state_ = nullptr;
};

}  // namespace

Napi::Function DefineWatcher(Napi::Env env) { return Watcher::Define(env); }

}  // namespace sockswitch
