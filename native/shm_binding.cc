// The JavaScript face of shm.node; src/native/shm.ts types it. Functions that can fail answer a negative errno.
#include <cerrno>
#include <fcntl.h>
#include <memory>
#include <napi.h>
#include <set>
#include <string>
#include <sys/eventfd.h>
#include <unistd.h>
#include <vector>

#include "channel.h"
#include "interface.h"
#include "memory.h"
#include "poller.h"
#include "tcp.h"

namespace sockswitch {
namespace {

int IntArgument(const Napi::CallbackInfo& info, size_t index) { return info[index].As<Napi::Number>().Int32Value(); }

Napi::Value Answer(const Napi::CallbackInfo& info, int64_t number) {
  return Napi::Number::New(info.Env(), static_cast<double>(number));
}

// The descriptors an event loop owns. A worker thread that is terminated runs no JavaScript any more, but its peers must
// see the ends of its channels.
class OwnedDescriptors {
 public:
  ~OwnedDescriptors() {
    for (int fd : descriptors_) close(fd);
    FreeSpare();
  }
  int Add(int fd) {
    if (fd >= 0) descriptors_.insert(fd);
    return fd;
  }
  int Close(int fd) {
    descriptors_.erase(fd);
    int status = close(fd) == 0 ? 0 : -errno;
    KeepSpare();
    return status;
  }
  // A descriptor kept free, so that the one a peer passes arrives even when the process has no other left: it would be lost
  // otherwise, and the link with it.
  void KeepSpare() {
    if (spare_ < 0) spare_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
  }
  void FreeSpare() {
    if (spare_ >= 0) close(spare_);
    spare_ = -1;
  }

 private:
  std::set<int> descriptors_;
  int spare_ = -1;
};

OwnedDescriptors& Owned(Napi::Env env) { return *env.GetInstanceData<OwnedDescriptors>(); }

// Everything that calls back into JavaScript from libuv goes through here.
void CallBack(napi_env env, napi_async_context async, napi_ref function, napi_value* result) {
  napi_value callback;
  napi_value receiver;
  napi_get_reference_value(env, function, &callback);
  napi_get_global(env, &receiver);
  napi_status status = napi_make_callback(env, async, receiver, callback, 0, nullptr, result);
  if (status == napi_pending_exception) {
    napi_value error;
    napi_get_and_clear_last_exception(env, &error);
    napi_fatal_exception(env, error);
    *result = nullptr;
  }
}

// Calls native code of Node's own as libuv does, with no JavaScript below: what that calls back has ticks of its own, and an
// exception there does not stand in the way of what it does next. `call` is [receiver, method, argument].
void CallOutside(napi_env env, napi_value call) {
  napi_value parts[3];
  for (uint32_t i = 0; i < 3; i++) napi_get_element(env, call, i, &parts[i]);
  if (napi_call_function(env, parts[0], parts[1], 1, &parts[2], nullptr) != napi_pending_exception) return;
  napi_value error;
  napi_get_and_clear_last_exception(env, &error);
  napi_fatal_exception(env, error);
}

// --- memory ---------------------------------------------------------------------------------------------------------

Napi::Value WrapMapping(Napi::Env env, const Mapping& mapping) {
  return Napi::ArrayBuffer::New(env, mapping.data, mapping.bytes,
                                [bytes = mapping.bytes](Napi::Env, void* data) { Unmap({data, bytes}); });
}

Napi::Value JsCreateMemory(const Napi::CallbackInfo& info) {
  Mapping mapping;
  int fd = CreateMemory(static_cast<size_t>(info[0].As<Napi::Number>().Int64Value()), &mapping);
  if (fd < 0) return Answer(info, fd);
  Owned(info.Env()).Add(fd);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("fd", fd);
  result.Set("buffer", WrapMapping(info.Env(), mapping));
  return result;
}

Napi::Value JsMapMemory(const Napi::CallbackInfo& info) {
  Mapping mapping;
  int error = MapPeerMemory(IntArgument(info, 0), static_cast<size_t>(info[1].As<Napi::Number>().Int64Value()), &mapping);
  return error != 0 ? Answer(info, error) : WrapMapping(info.Env(), mapping);
}

// Detaching runs the finalizer that unmaps; every view has length 0 from here on, so a late access throws.
Napi::Value JsUnmap(const Napi::CallbackInfo& info) {
  Napi::ArrayBuffer buffer = info[0].As<Napi::ArrayBuffer>();
  if (!buffer.IsDetached()) buffer.Detach();
  return info.Env().Undefined();
}

Napi::Value JsKeepFreedMemory(const Napi::CallbackInfo& info) {
  KeepFreedMemory();
  return info.Env().Undefined();
}

// --- channels -------------------------------------------------------------------------------------------------------

Napi::Value JsClose(const Napi::CallbackInfo& info) { return Answer(info, Owned(info.Env()).Close(IntArgument(info, 0))); }

Napi::Value JsListen(const Napi::CallbackInfo& info) {
  return Answer(info, Owned(info.Env()).Add(ListenChannel(info[0].As<Napi::String>().Utf8Value())));
}

Napi::Value JsConnect(const Napi::CallbackInfo& info) {
  return Answer(info, Owned(info.Env()).Add(ConnectChannel(info[0].As<Napi::String>().Utf8Value())));
}

Napi::Value JsAccept(const Napi::CallbackInfo& info) {
  return Answer(info, Owned(info.Env()).Add(AcceptChannel(IntArgument(info, 0))));
}

Napi::Value JsPeerCredentials(const Napi::CallbackInfo& info) {
  Credentials credentials;
  int error = PeerCredentials(IntArgument(info, 0), &credentials);
  if (error != 0) return Answer(info, error);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("pid", static_cast<double>(credentials.pid));
  result.Set("uid", static_cast<double>(credentials.uid));
  return result;
}

Napi::Value JsSend(const Napi::CallbackInfo& info) {
  Napi::Uint8Array bytes = info[1].As<Napi::Uint8Array>();
  Napi::Array array = info[2].As<Napi::Array>();
  int descriptors[kMaxDescriptors];
  size_t count = array.Length();
  if (count > kMaxDescriptors) return Answer(info, -EMSGSIZE);
  for (uint32_t i = 0; i < count; i++) descriptors[i] = array.Get(i).As<Napi::Number>().Int32Value();
  return Answer(info, SendMessage(IntArgument(info, 0), bytes.Data(), bytes.ByteLength(), descriptors, count));
}

// A message, 0 at the end of the stream, or a negative errno.
Napi::Value JsReceive(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Message message;
  Owned(env).FreeSpare();
  int status = ReceiveMessage(IntArgument(info, 0), &message);
  Owned(env).KeepSpare();
  if (status <= 0) return Answer(info, status);
  Napi::Object result = Napi::Object::New(env);
  result.Set("bytes", Napi::Buffer<uint8_t>::Copy(env, message.bytes, message.length));
  Napi::Array descriptors = Napi::Array::New(env, message.descriptor_count);
  for (uint32_t i = 0; i < message.descriptor_count; i++) descriptors.Set(i, Owned(env).Add(message.descriptors[i]));
  result.Set("fds", descriptors);
  return result;
}

Napi::Value JsRing(const Napi::CallbackInfo& info) {
  int fd = IntArgument(info, 0);
  // The flag belongs to the open file, which the peer has, too: it may have taken the flag away to make us wait.
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return Answer(info, -errno);
  if ((flags & O_NONBLOCK) == 0) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  uint64_t one = 1;
  // A full counter means that the bell is ringing already.
  ssize_t written = write(fd, &one, sizeof one);
  return Answer(info, written < 0 && errno != EAGAIN ? -errno : 0);
}

// True when `fd` can serve as a doorbell: writing to it never blocks us.
Napi::Value JsIsDoorbell(const Napi::CallbackInfo& info) {
  int fd = IntArgument(info, 0);
  int flags = fcntl(fd, F_GETFL);
  char link[64];
  std::string path = "/proc/self/fd/" + std::to_string(fd);
  ssize_t length = readlink(path.c_str(), link, sizeof link);
  bool eventfd_file = length > 0 && std::string(link, static_cast<size_t>(length)) == "anon_inode:[eventfd]";
  return Napi::Boolean::New(info.Env(), eventfd_file && flags >= 0 && (flags & O_NONBLOCK) != 0);
}

// --- the host's TCP/IP ----------------------------------------------------------------------------------------------

std::string Hexadecimal(uint64_t number) {
  char text[17];
  snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(number));
  return text;
}

Napi::Value JsFindTcpListener(const Napi::CallbackInfo& info) {
  bool any = info.Length() < 4;
  TcpListener listener;
  int error = FindTcpListener(info[0].As<Napi::String>().Utf8Value(), static_cast<uint16_t>(IntArgument(info, 1)),
                              any ? "" : info[2].As<Napi::String>().Utf8Value(),
                              any ? 0 : static_cast<uint16_t>(IntArgument(info, 3)), &listener);
  if (error != 0) return Answer(info, error);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("uid", static_cast<double>(listener.owner));
  result.Set("address", listener.address);
  result.Set("cookie", Hexadecimal(listener.cookie));
  result.Set("inode", static_cast<double>(listener.inode));
  return result;
}

Napi::Value JsDescribeListener(const Napi::CallbackInfo& info) {
  ListeningSocket described;
  int error = DescribeListener(IntArgument(info, 0), &described);
  if (error != 0) return Answer(info, error);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("cookie", Hexadecimal(described.cookie));
  result.Set("sharesPort", described.shares_port);
  return result;
}

Napi::Value JsReserveTcpPort(const Napi::CallbackInfo& info) {
  std::string address;
  uint16_t port = 0;
  int fd = ReserveTcpPort(info[0].As<Napi::String>().Utf8Value(), static_cast<uint16_t>(IntArgument(info, 1)), &address, &port);
  if (fd < 0) return Answer(info, fd);
  Owned(info.Env()).Add(fd);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("fd", fd);
  result.Set("address", address);
  result.Set("port", static_cast<double>(port));
  return result;
}

Napi::Value JsSocketPair(const Napi::CallbackInfo& info) {
  int descriptors[2];
  int error = SocketPair(descriptors);
  if (error != 0) return Answer(info, error);
  Napi::Array result = Napi::Array::New(info.Env(), 2);
  result.Set(0U, descriptors[0]);
  result.Set(1U, descriptors[1]);
  return result;
}

// --- watcher: tells when a descriptor is readable, without keeping the process alive ---------------------------------

class Watcher : public Napi::ObjectWrap<Watcher> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Watcher", {InstanceMethod<&Watcher::Close>("close")});
  }

  explicit Watcher(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Watcher>(info) {
    napi_env env = info.Env();
    uv_loop_t* loop = nullptr;
    napi_get_uv_event_loop(env, &loop);
    state_ = new State{env, {}, nullptr, nullptr};
    napi_create_reference(env, info[1], 1, &state_->function);
    napi_value name;
    napi_create_string_utf8(env, "SOCKSWITCH", NAPI_AUTO_LENGTH, &name);
    napi_async_init(env, nullptr, name, &state_->async);
    state_->poll.data = state_;
    if (uv_poll_init(loop, &state_->poll, IntArgument(info, 0)) != 0) {
      Release(state_);
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
    napi_env env;
    uv_poll_t poll;
    napi_ref function;
    napi_async_context async;
    napi_async_cleanup_hook_handle hook = nullptr;
  };

  static void Release(State* state) {
    napi_delete_reference(state->env, state->function);
    napi_async_destroy(state->env, state->async);
    delete state;
  }

  static void OnReadable(uv_poll_t* poll, int, int) {
    auto* state = static_cast<State*>(poll->data);
    Napi::HandleScope scope(state->env);
    napi_value result;
    CallBack(state->env, state->async, state->function, &result);
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
      Napi::HandleScope scope(state->env);
      Release(state);
    });
    Unref();
    return info.Env().Undefined();
  }

  State* state_ = nullptr;
};

// --- poller ---------------------------------------------------------------------------------------------------------

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
    state_ = new State;
    state_->env = env;
    napi_create_reference(env, info[1], 1, &state_->function);
    napi_value name;
    napi_create_string_utf8(env, "SOCKSWITCH", NAPI_AUTO_LENGTH, &name);
    napi_async_init(env, nullptr, name, &state_->async);
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
    napi_env env;
    napi_ref function;
    napi_async_context async;
    napi_async_cleanup_hook_handle hook = nullptr;
    std::unique_ptr<Poller> poller;
    bool closing = false;
  };

  static bool OnDrain(void* context) {
    auto* state = static_cast<State*>(context);
    if (state->closing) return false;
    Napi::HandleScope scope(state->env);
    napi_value result = nullptr;
    CallBack(state->env, state->async, state->function, &result);
    bool more = true;
    if (result == nullptr) return more;
    if (napi_get_value_bool(state->env, result, &more) != napi_ok) CallOutside(state->env, result);
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
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("turns", static_cast<double>(stats.turns));
    result.Set("spins", static_cast<double>(stats.spins));
    result.Set("hits", static_cast<double>(stats.hits));
    result.Set("sleeps", static_cast<double>(stats.sleeps));
    result.Set("wakes", static_cast<double>(stats.wakes));
    return result;
  }

  Napi::Value Doorbell(const Napi::CallbackInfo& info) { return Answer(info, state_->poller->doorbell()); }
  Napi::Value StatusFd(const Napi::CallbackInfo& info) { return Answer(info, state_->poller->status_fd()); }

  State* state_ = nullptr;
};

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new OwnedDescriptors);
  Owned(env).KeepSpare();
  PrepareTcp();
  exports.Set("interface", kInterface);
  exports.Set("createMemory", Napi::Function::New<JsCreateMemory>(env));
  exports.Set("mapMemory", Napi::Function::New<JsMapMemory>(env));
  exports.Set("unmap", Napi::Function::New<JsUnmap>(env));
  exports.Set("keepFreedMemory", Napi::Function::New<JsKeepFreedMemory>(env));
  exports.Set("close", Napi::Function::New<JsClose>(env));
  exports.Set("listen", Napi::Function::New<JsListen>(env));
  exports.Set("connect", Napi::Function::New<JsConnect>(env));
  exports.Set("accept", Napi::Function::New<JsAccept>(env));
  exports.Set("peerCredentials", Napi::Function::New<JsPeerCredentials>(env));
  exports.Set("send", Napi::Function::New<JsSend>(env));
  exports.Set("receive", Napi::Function::New<JsReceive>(env));
  exports.Set("ring", Napi::Function::New<JsRing>(env));
  exports.Set("isDoorbell", Napi::Function::New<JsIsDoorbell>(env));
  exports.Set("findTcpListener", Napi::Function::New<JsFindTcpListener>(env));
  exports.Set("describeListener", Napi::Function::New<JsDescribeListener>(env));
  exports.Set("reserveTcpPort", Napi::Function::New<JsReserveTcpPort>(env));
  exports.Set("socketPair", Napi::Function::New<JsSocketPair>(env));
  exports.Set("Watcher", Watcher::Define(env));
  exports.Set("Poller", JsPoller::Define(env));
  return exports;
}

NODE_API_MODULE(shm, Init)

}  // namespace
}  // namespace sockswitch
