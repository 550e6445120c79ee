#include "callback.h"

namespace sockswitch {
namespace {

void EndWithException(napi_env env) {
  napi_value error;
  napi_get_and_clear_last_exception(env, &error);
  napi_fatal_exception(env, error);
}

}  // namespace

Callback::Callback(napi_env env, napi_value function) : env_(env) {
  napi_create_reference(env, function, 1, &function_);
  napi_value name;
  napi_create_string_utf8(env, "SOCKSWITCH", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, nullptr, name, &async_);
}

napi_value Callback::Call() const {
  napi_value callback;
  napi_value receiver;
  napi_value result = nullptr;
  napi_get_reference_value(env_, function_, &callback);
  napi_get_global(env_, &receiver);
  if (napi_make_callback(env_, async_, receiver, callback, 0, nullptr, &result) != napi_pending_exception) return result;
  EndWithException(env_);
  return nullptr;
}

void Callback::Release() {
  napi_delete_reference(env_, function_);
  napi_async_destroy(env_, async_);
}

void CallOutside(napi_env env, napi_value call) {
  napi_value parts[3];
  for (uint32_t i = 0; i < 3; i++) napi_get_element(env, call, i, &parts[i]);
  if (napi_call_function(env, parts[0], parts[1], 1, &parts[2], nullptr) == napi_pending_exception) EndWithException(env);
}

}  // namespace sockswitch
