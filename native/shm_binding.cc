// The JavaScript face of shm.node; src/native/shm.ts types it. Functions that can fail answer a negative errno.
#include <cerrno>
#include <fcntl.h>
#include <napi.h>
#include <set>
#include <string>
#include <unistd.h>

#include "binding.h"
#include "channel.h"
#include "interface.h"
#include "memory.h"
#include "tcp.h"

namespace sockswitch {
namespace {

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
  exports.Set("Watcher", DefineWatcher(env));
  exports.Set("Poller", DefinePoller(env));
  return exports;
}

NODE_API_MODULE(shm, Init)

}  // namespace
}  // namespace sockswitch
