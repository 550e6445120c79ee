// What the JavaScript faces of the addons share.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <napi.h>
#include <utility>

#include "callback.h"

namespace sockswitch {

inline int32_t IntArgument(const Napi::CallbackInfo& info, size_t index) {
  return info[index].As<Napi::Number>().Int32Value();
}

inline Napi::Value Answer(const Napi::CallbackInfo& info, int64_t number) {
  return Napi::Number::New(info.Env(), static_cast<double>(number));
}

inline Napi::Value AnswerCounters(const Napi::CallbackInfo& info,
                                  std::initializer_list<std::pair<const char*, uint64_t>> counters) {
  Napi::Object result = Napi::Object::New(info.Env());
  for (const auto& [name, count] : counters) result.Set(name, static_cast<double>(count));
  return result;
}

// The classes of shm.node.
Napi::Function DefineWatcher(Napi::Env env);
Napi::Function DefinePoller(Napi::Env env);

}  // namespace sockswitch
