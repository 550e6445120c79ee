// From libuv's callbacks into JavaScript.
#pragma once

#include <node_api.h>

namespace sockswitch {

// A function of JavaScript's that libuv's callbacks call. Everything that calls back into JavaScript goes through here.
class Callback {
 public:
  Callback(napi_env env, napi_value function);
  // What it answers; nullptr when it threw, which ends the process unless the application has made up its mind otherwise.
  napi_value Call() const;
  // Lets the function go; not at the end of the environment, which takes it along.
  void Release();
  napi_env env() const { return env_; }

 private:
  napi_env env_;
  napi_ref function_ = nullptr;
  napi_async_context async_ = nullptr;
};

// Calls native code of Node's own as libuv does, with no JavaScript below: what that calls back has ticks of its own, and an
// exception there does not stand in the way of what it does next. `call` is [receiver, method, argument].
void CallOutside(napi_env env, napi_value call);

}  // namespace sockswitch
