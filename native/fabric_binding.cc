// The JavaScript face of fabric.node; src/native/fabric.ts types it. Functions that can fail answer a negative errno.
#include <cerrno>
#include <memory>
#include <napi.h>
#include <sys/mman.h>

#include "binding.h"
#include "fabric.h"
#include "fabric_library.h"
#include "interface.h"

namespace sockswitch {
namespace {

Endpoint EndpointArgument(const Napi::CallbackInfo& info, size_t index) {
  return {info[index].As<Napi::String>().Utf8Value(), static_cast<uint16_t>(IntArgument(info, index + 1))};
}

class JsFabric : public Napi::ObjectWrap<JsFabric> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "Fabric",
        {InstanceMethod<&JsFabric::Open>("open"), InstanceMethod<&JsFabric::Devices>("devices"),
         InstanceMethod<&JsFabric::Listen>("listen"), InstanceMethod<&JsFabric::CloseListener>("closeListener"),
         InstanceMethod<&JsFabric::Request>("request"), InstanceMethod<&JsFabric::Reject>("reject"),
         InstanceMethod<&JsFabric::Connect>("connect"), InstanceMethod<&JsFabric::Accept>("accept"),
         InstanceMethod<&JsFabric::Offer>("offer"), InstanceMethod<&JsFabric::Start>("start"),
         InstanceMethod<&JsFabric::PeerData>("peerData"), InstanceMethod<&JsFabric::SetPeer>("setPeer"),
         InstanceMethod<&JsFabric::Send>("send"), InstanceMethod<&JsFabric::Write>("write"),
         InstanceMethod<&JsFabric::Receive>("receive"), InstanceMethod<&JsFabric::Expose>("expose"),
         InstanceMethod<&JsFabric::Conceal>("conceal"), InstanceMethod<&JsFabric::Read>("read"),
         InstanceMethod<&JsFabric::Look>("look"), InstanceMethod<&JsFabric::Close>("close"),
         InstanceMethod<&JsFabric::Release>("release"), InstanceMethod<&JsFabric::Poll>("poll"),
         InstanceMethod<&JsFabric::Stats>("stats"), InstanceMethod<&JsFabric::Destroy>("destroy"),
         InstanceAccessor<&JsFabric::Answered>("answered"), InstanceAccessor<&JsFabric::AnsweredFd>("answeredFd"),
         InstanceAccessor<&JsFabric::EventFd>("eventFd"),
         InstanceMethod<&JsFabric::Events>("events"), InstanceAccessor<&JsFabric::Source>("source")});
  }

  // new Fabric(provider, messages, messageBytes, writes, reads, arenaBytes)
  explicit JsFabric(const Napi::CallbackInfo& info) : Napi::ObjectWrap<JsFabric>(info) {
    FabricShape shape;
    shape.messages = static_cast<uint32_t>(IntArgument(info, 1));
    shape.message_bytes = static_cast<uint32_t>(IntArgument(info, 2));
    shape.writes = static_cast<uint32_t>(IntArgument(info, 3));
    shape.reads = static_cast<uint32_t>(IntArgument(info, 4));
    shape.arena_bytes = static_cast<uint32_t>(IntArgument(info, 5));
    fabric_ = new Fabric(info[0].As<Napi::String>().Utf8Value(), shape);
    // One per provider of the loop, for as long as the loop lives; its end is what peers see.
    napi_add_env_cleanup_hook(info.Env(), Delete, fabric_);
    Ref();
  }

 private:
  static void Delete(void* fabric) { delete static_cast<Fabric*>(fabric); }

  // Nothing may be called any more.
  Napi::Value Destroy(const Napi::CallbackInfo& info) {
    napi_remove_env_cleanup_hook(info.Env(), Delete, fabric_);
    Delete(fabric_);
    fabric_ = nullptr;
    Unref();
    return info.Env().Undefined();
  }

  Napi::Value Open(const Napi::CallbackInfo& info) { return Answer(info, fabric_->Open()); }

  Napi::Value Devices(const Napi::CallbackInfo& info) {
    std::vector<FabricDevice> devices = fabric_->Devices();
    Napi::Array result = Napi::Array::New(info.Env(), devices.size());
    for (uint32_t i = 0; i < devices.size(); i++) {
      Napi::Object device = Napi::Object::New(info.Env());
      device.Set("name", devices[i].name);
      device.Set("address", devices[i].address);
      result.Set(i, device);
    }
    return result;
  }

  Napi::Value Listen(const Napi::CallbackInfo& info) { return Answer(info, fabric_->Listen(EndpointArgument(info, 0))); }

  Napi::Value CloseListener(const Napi::CallbackInfo& info) {
    fabric_->CloseListener(IntArgument(info, 0));
    return info.Env().Undefined();
  }

  Napi::Value Request(const Napi::CallbackInfo& info) {
    const FabricRequest* request = fabric_->request(IntArgument(info, 0));
    if (request == nullptr) return info.Env().Undefined();
    Endpoint remote = EndpointOf(request->info->dest_addr);
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("address", remote.address);
    result.Set("port", static_cast<double>(remote.port));
    result.Set("data", Napi::Buffer<uint8_t>::Copy(info.Env(), request->data.data(), request->data.size()));
    return result;
  }

  Napi::Value Reject(const Napi::CallbackInfo& info) {
    Napi::Uint8Array data = info[1].As<Napi::Uint8Array>();
    return Answer(info, fabric_->Reject(IntArgument(info, 0), data.Data(), data.ByteLength()));
  }

  Napi::Value Connect(const Napi::CallbackInfo& info) {
    return Answer(info, fabric_->Connect(info[0].As<Napi::String>().Utf8Value(), EndpointArgument(info, 1)));
  }

  Napi::Value Accept(const Napi::CallbackInfo& info) { return Answer(info, fabric_->Accept(IntArgument(info, 0))); }

  // The link's memory and what the peer must know of it. The memory stays until `release` detaches it.
  Napi::Value Offer(const Napi::CallbackInfo& info) {
    FabricLink* link = fabric_->link(IntArgument(info, 0));
    if (link == nullptr) return info.Env().Undefined();
    Napi::Object result = Napi::Object::New(info.Env());
    size_t bytes = link->bytes();
    result.Set("memory", Napi::ArrayBuffer::New(info.Env(), link->memory(), bytes,
                                                [bytes](Napi::Env, void* data) { munmap(data, bytes); }));
    result.Set("fd", static_cast<double>(link->fd()));
    result.Set("address", Napi::BigInt::New(info.Env(), link->mirror_address()));
    result.Set("key", Napi::BigInt::New(info.Env(), link->mirror_key()));
    link->Disown();
    return result;
  }

  Napi::Value Start(const Napi::CallbackInfo& info) {
    FabricLink* link = fabric_->link(IntArgument(info, 0));
    Napi::Uint8Array data = info[1].As<Napi::Uint8Array>();
    return Answer(info, link == nullptr ? -EINVAL : link->Start(data.Data(), data.ByteLength()));
  }

  Napi::Value PeerData(const Napi::CallbackInfo& info) {
    FabricLink* link = fabric_->link(IntArgument(info, 0));
    if (link == nullptr) return Napi::Buffer<uint8_t>::New(info.Env(), 0);
    return Napi::Buffer<uint8_t>::Copy(info.Env(), link->peer_data().data(), link->peer_data().size());
  }

  Napi::Value SetPeer(const Napi::CallbackInfo& info) {
    bool lossless = true;
    FabricLink* link = fabric_->link(IntArgument(info, 0));
    if (link != nullptr) {
      link->SetPeer(info[1].As<Napi::BigInt>().Uint64Value(&lossless), info[2].As<Napi::BigInt>().Uint64Value(&lossless));
    }
    return info.Env().Undefined();
  }

  Napi::Value Send(const Napi::CallbackInfo& info) {
    FabricLink* link = fabric_->link(IntArgument(info, 0));
    auto message = static_cast<uint32_t>(IntArgument(info, 1));
    auto length = static_cast<uint32_t>(IntArgument(info, 2));
    const FabricShape& shape = fabric_->shape();
    if (link == nullptr || message >= shape.messages || length > shape.message_bytes) return Answer(info, -EINVAL);
    return Answer(info, link->Send(message, length, info[3].As<Napi::Boolean>().Value()));
  }

  Napi::Value Write(const Napi::CallbackInfo& info) {
    FabricLink* link = fabric_->link(IntArgument(info, 0));
    auto offset = static_cast<uint32_t>(IntArgument(info, 1));
    auto length = static_cast<uint32_t>(IntArgument(info, 2));
    uint32_t arena = fabric_->shape().arena_bytes;
    if (link == nullptr || offset > arena || length > arena - offset) return Answer(info, -EINVAL);
    return Answer(info, link->Write(offset, length));
  }

  Napi::Value Receive(const Napi::CallbackInfo& info) {
    FabricLink* link = fabric_->link(IntArgument(info, 0));
    auto buffer = static_cast<uint32_t>(IntArgument(info, 1));
    if (link == nullptr || buffer >= fabric_->shape().messages) return Answer(info, -EINVAL);
    return Answer(info, link->Receive(buffer));
  }

  // expose(id, memory): the exposure's number, address and key, or a negative errno.
  Napi::Value Expose(const Napi::CallbackInfo& info) {
    FabricLink* link = fabric_->link(IntArgument(info, 0));
    Napi::Uint8Array memory = info[1].As<Napi::Uint8Array>();
    int exposure = link == nullptr ? -EINVAL : link->Expose(memory.Data(), memory.ByteLength());
    if (exposure < 0) return Answer(info, exposure);
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("exposure", static_cast<double>(exposure));
    result.Set("address", Napi::BigInt::New(info.Env(), link->exposed_address(exposure)));
    result.Set("key", Napi::BigInt::New(info.Env(), link->exposed_key(exposure)));
    return result;
  }

  Napi::Value Conceal(const Napi::CallbackInfo& info) {
    FabricLink* link = fabric_->link(IntArgument(info, 0));
    if (link != nullptr) link->Conceal(IntArgument(info, 1));
    return info.Env().Undefined();
  }

  // read(id, target, address, key)
  Napi::Value Read(const Napi::CallbackInfo& info) {
    bool lossless = true;
    FabricLink* link = fabric_->link(IntArgument(info, 0));
    Napi::Uint8Array target = info[1].As<Napi::Uint8Array>();
    uint64_t address = info[2].As<Napi::BigInt>().Uint64Value(&lossless);
    uint64_t key = info[3].As<Napi::BigInt>().Uint64Value(&lossless);
    if (link == nullptr) return Answer(info, -EINVAL);
    return Answer(info, link->Read(target.Data(), target.ByteLength(), address, key));
  }

  Napi::Value Look(const Napi::CallbackInfo& info) {
    FabricLink* link = fabric_->link(IntArgument(info, 0));
    if (link != nullptr) fabric_->Look(link);
    return info.Env().Undefined();
  }

  Napi::Value Close(const Napi::CallbackInfo& info) {
    fabric_->Close(IntArgument(info, 0));
    return info.Env().Undefined();
  }

  // release(id, memory): every view has length 0 from here on.
  Napi::Value Release(const Napi::CallbackInfo& info) {
    fabric_->Release(IntArgument(info, 0));
    Napi::ArrayBuffer memory = info[1].As<Napi::ArrayBuffer>();
    if (!memory.IsDetached()) memory.Detach();
    return info.Env().Undefined();
  }

  Napi::Value Poll(const Napi::CallbackInfo& info) {
    PollSource* source = fabric_->source();
    return Napi::Boolean::New(info.Env(), source->ready(source->context));
  }

  Napi::Value Stats(const Napi::CallbackInfo& info) {
    const FabricStats& stats = fabric_->stats();
    return AnswerCounters(info, {{"messagesSent", stats.messages_sent},
                                 {"messagesReceived", stats.messages_received},
                                 {"writes", stats.writes},
                                 {"writtenBytes", stats.written_bytes},
                                 {"reads", stats.reads}, {"readBytes", stats.read_bytes},
                                 {"completions", stats.completions},
                                 {"retries", stats.full},
                                 {"errors", stats.errors}});
  }

  Napi::Value Answered(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), fabric_->Answered()); }

  Napi::Value AnsweredFd(const Napi::CallbackInfo& info) { return Answer(info, fabric_->answered_fd()); }

  Napi::Value EventFd(const Napi::CallbackInfo& info) { return Answer(info, fabric_->event_fd()); }

  Napi::Value Events(const Napi::CallbackInfo& info) {
    FabricBatch* batch = fabric_->TakeBatch();
    return Napi::ArrayBuffer::New(info.Env(), batch, sizeof *batch,
                                  [](Napi::Env, void* data) { delete static_cast<FabricBatch*>(data); });
  }

  Napi::Value Source(const Napi::CallbackInfo& info) {
    return Napi::External<PollSource>::New(info.Env(), fabric_->source());
  }

  Fabric* fabric_ = nullptr;
};

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("interface", kInterface);
  exports.Set("problem", LoadFabricLibrary());
  exports.Set("version", FabricLibraryVersion());
  exports.Set("Fabric", JsFabric::Define(env));
  return exports;
}

NODE_API_MODULE(fabric, Init)

}  // namespace
}  // namespace sockswitch
