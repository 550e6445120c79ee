#include "fabric.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace sockswitch {

namespace {

// The interface this code was written against, whatever the library is.
constexpr uint32_t kVersion = FI_VERSION(1, 17);
constexpr size_t kMaxPrivateBytes = 256;
// Looks at the completion queues between two at the event queue, while the loop does not sleep.
constexpr uint32_t kLooksPerEventRead = 32;
constexpr size_t kCompletionsPerRead = 16;

}  // namespace

Endpoint EndpointOf(const void* address) {
  if (address == nullptr) return {};
  char text[INET6_ADDRSTRLEN];
  if (static_cast<const sockaddr*>(address)->sa_family == AF_INET) {
    auto* in = static_cast<const sockaddr_in*>(address);
    inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
    return {text, ntohs(in->sin_port)};
  }
  if (static_cast<const sockaddr*>(address)->sa_family != AF_INET6) return {};
  auto* in = static_cast<const sockaddr_in6*>(address);
  inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof text);
  return {text, ntohs(in->sin6_port)};
}

Fabric::Fabric(std::string provider, FabricShape shape)
    : provider_(std::move(provider)),
      shape_(shape),
      answered_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      batch_owner_(std::make_unique<FabricBatch>()),
      batch_(*batch_owner_) {
  source_ = new PollSource{this, [](void* context) { return static_cast<Fabric*>(context)->Fill(); },
                           [](void* context) { return static_cast<Fabric*>(context)->Arm(); }};
  if (answered_fd_ < 0) answered_fd_ = -errno;
  // The first question takes a tenth of a second: every provider of libfabric starts.
  probe_ = std::thread([this] { Probe(); });
}

Fabric::~Fabric() {
  source_->ready = [](void*) { return false; };
  source_->arm = [](void*) { return true; };
  if (probe_.joinable()) probe_.join();
  if (answered_fd_ >= 0) close(answered_fd_);
  links_.clear();
  for (auto& [id, request] : requests_) fi_freeinfo(request.info);
  for (auto& [id, listener] : listeners_) {
    fi_close(&listener.endpoint->fid);
    fi_freeinfo(listener.info);
  }
  if (events_ != nullptr) fi_close(&events_->fid);
  if (fabric_ != nullptr) fi_close(&fabric_->fid);
  if (infos_ != nullptr) fi_freeinfo(infos_);
}

// The common subset of `tcp` and `verbs`.
fi_info* Fabric::Hints() const {
  fi_info* hints = fi_allocinfo();
  hints->ep_attr->type = FI_EP_MSG;
  hints->caps = FI_MSG | FI_RMA;
  hints->mode = FI_CONTEXT | FI_CONTEXT2 | FI_RX_CQ_DATA;
  // A message is received after what was written before it.
  hints->tx_attr->msg_order = FI_ORDER_SAS | FI_ORDER_SAW | FI_ORDER_WAW;
  hints->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_ALLOCATED | FI_MR_VIRT_ADDR | FI_MR_PROV_KEY;
  hints->domain_attr->threading = FI_THREAD_DOMAIN;
  hints->fabric_attr->prov_name = strdup(provider_.c_str());
  return hints;
}

void Fabric::Probe() {
  fi_info* hints = Hints();
  probed_ = fi_getinfo(kVersion, nullptr, nullptr, 0, hints, &infos_);
  fi_freeinfo(hints);
  answered_ = true;
  if (answered_fd_ >= 0) eventfd_write(answered_fd_, 1);
}

int Fabric::Open() {
  if (opened_) return open_error_;
  opened_ = true;
  probe_.join();
  open_error_ = probed_;
  if (open_error_ != 0) return open_error_;
  open_error_ = fi_fabric(infos_->fabric_attr, &fabric_, nullptr);
  if (open_error_ != 0) return open_error_;
  fi_eq_attr attributes{};
  attributes.size = 1024;
  attributes.wait_obj = FI_WAIT_FD;
  open_error_ = fi_eq_open(fabric_, &attributes, &events_, nullptr);
  if (open_error_ == 0) open_error_ = fi_control(&events_->fid, FI_GETWAIT, &event_fd_);
  return open_error_;
}

std::vector<FabricDevice> Fabric::Devices() const {
  std::vector<FabricDevice> found;
  for (fi_info* info = infos_; info != nullptr; info = info->next) {
    std::string address = EndpointOf(info->src_addr).address;
    auto is_known = [&](const FabricDevice& device) { return device.address == address; };
    if (address.empty() || std::any_of(found.begin(), found.end(), is_known)) continue;
    const char* name = info->domain_attr->name;
    found.push_back({name == nullptr ? "" : name, address});
  }
  return found;
}

// --- listening --------------------------------------------------------------------------------------------------------

// Where no device has an IPv6 address, `verbs` knows no IPv6 wildcard: the IPv4 half of it is all that there is.
int Fabric::Listen(const Endpoint& local) {
  int listener = ListenAt(local);
  if (listener >= 0 || local.address != "::") return listener;
  int other = ListenAt({"0.0.0.0", local.port});
  return other >= 0 ? other : listener;
}

int Fabric::ListenAt(const Endpoint& local) {
  int error = Open();
  if (error != 0) return error;
  fi_info* hints = Hints();
  Listener listener;
  std::string service = std::to_string(local.port);
  error = fi_getinfo(kVersion, local.address.c_str(), service.c_str(), FI_SOURCE | FI_NUMERICHOST, hints, &listener.info);
  fi_freeinfo(hints);
  if (error != 0) return error;
  auto* key = reinterpret_cast<void*>(static_cast<intptr_t>(next_id_));
  error = fi_passive_ep(fabric_, listener.info, &listener.endpoint, key);
  if (error == 0) error = fi_pep_bind(listener.endpoint, &events_->fid, 0);
  if (error == 0) error = fi_listen(listener.endpoint);
  if (error != 0) {
    if (listener.endpoint != nullptr) fi_close(&listener.endpoint->fid);
    fi_freeinfo(listener.info);
    return error;
  }
  listeners_[next_id_] = listener;
  return next_id_++;
}

void Fabric::CloseListener(int32_t id) {
  auto found = listeners_.find(id);
  if (found == listeners_.end()) return;
  // Unanswered requests end with it.
  for (auto request = requests_.begin(); request != requests_.end();) {
    if (request->second.listener == id) {
      fi_reject(found->second.endpoint, request->second.info->handle, nullptr, 0);
      fi_freeinfo(request->second.info);
      request = requests_.erase(request);
    } else {
      ++request;
    }
  }
  fi_close(&found->second.endpoint->fid);
  fi_freeinfo(found->second.info);
  listeners_.erase(found);
}

const FabricRequest* Fabric::request(int32_t id) const {
  auto found = requests_.find(id);
  return found == requests_.end() ? nullptr : &found->second;
}

int Fabric::Reject(int32_t id, const void* data, size_t length) {
  auto found = requests_.find(id);
  if (found == requests_.end()) return -EINVAL;
  auto listener = listeners_.find(found->second.listener);
  int error = fi_reject(listener->second.endpoint, found->second.info->handle, data, length);
  fi_freeinfo(found->second.info);
  requests_.erase(found);
  return error;
}

// --- links ------------------------------------------------------------------------------------------------------------

FabricLink* Fabric::link(int32_t id) const {
  auto found = links_.find(id);
  return found == links_.end() ? nullptr : found->second.get();
}

int Fabric::Adopt(std::unique_ptr<FabricLink> link, int error) {
  if (error != 0) return error;
  open_links_.push_back(link.get());
  int32_t id = link->id();
  links_[id] = std::move(link);
  return id;
}

int Fabric::Connect(const std::string& local, const Endpoint& remote) {
  int error = Open();
  if (error != 0) return error;
  fi_info* source = nullptr;
  fi_info* hints = Hints();
  // The peer is to see the very address that the application's socket has.
  error = fi_getinfo(kVersion, local.c_str(), "0", FI_SOURCE | FI_NUMERICHOST, hints, &source);
  if (error == 0) {
    hints->src_addr = malloc(source->src_addrlen);
    memcpy(hints->src_addr, source->src_addr, source->src_addrlen);
    hints->src_addrlen = source->src_addrlen;
    hints->addr_format = source->addr_format;
    fi_freeinfo(source);
    fi_info* info = nullptr;
    std::string service = std::to_string(remote.port);
    error = fi_getinfo(kVersion, remote.address.c_str(), service.c_str(), FI_NUMERICHOST, hints, &info);
    if (error == 0) {
      fi_freeinfo(hints);
      auto link = std::make_unique<FabricLink>(this, info, true);
      link->id_ = next_id_++;
      int opened = link->Open();
      return Adopt(std::move(link), opened);
    }
  }
  fi_freeinfo(hints);
  return error;
}

int Fabric::Accept(int32_t id) {
  auto found = requests_.find(id);
  if (found == requests_.end()) return -EINVAL;
  auto link = std::make_unique<FabricLink>(this, fi_dupinfo(found->second.info), false);
  link->info_->handle = found->second.info->handle;
  link->id_ = next_id_++;
  int error = link->Open();
  if (error != 0) return error;
  fi_freeinfo(found->second.info);
  requests_.erase(found);
  return Adopt(std::move(link), 0);
}

void Fabric::Close(int32_t id) {
  FabricLink* found = link(id);
  if (found == nullptr) return;
  open_links_.erase(std::remove(open_links_.begin(), open_links_.end(), found), open_links_.end());
  found->Close();
}

void Fabric::Release(int32_t id) {
  Close(id);
  links_.erase(id);
}

// --- events -----------------------------------------------------------------------------------------------------------

bool Fabric::Append(FabricEventKind kind, int32_t id, int32_t a, int32_t b) {
  batch_.events[batch_.produced++] = {kind, id, a, b};
  return true;
}

// Completions first, then the events of connections: the end of one comes after what arrived on it.
bool Fabric::Fill() {
  if (batch_.consumed != batch_.produced) return true;
  batch_.consumed = batch_.produced = 0;
  if (events_ == nullptr) return false;
  // Room stays for what connections tell. Links that there is none for come first at the next look.
  auto next = open_links_.begin();
  while (next != open_links_.end() && Room() >= 3 * EventsPerLook()) ReadCompletions(*next++);
  std::rotate(open_links_.begin(), next, open_links_.end());
  if (looks_++ % kLooksPerEventRead == 0) ReadEvents();
  return batch_.produced > 0;
}

bool Fabric::Arm() {
  if (events_ == nullptr) return true;
  looks_ = 0;
  if (Fill()) return false;
  // The queues are dry; from here on their descriptors tell.
  std::vector<fid*> queues{&events_->fid};
  for (FabricLink* link : open_links_) queues.push_back(&link->completions_->fid);
  if (fi_trywait(fabric_, queues.data(), static_cast<int>(queues.size())) == 0) {
    looks_ = 0;
    return true;
  }
  looks_ = 0;
  return false;
}

void Fabric::ReadEvents() {
  alignas(fi_eq_cm_entry) uint8_t message[sizeof(fi_eq_cm_entry) + kMaxPrivateBytes];
  auto* entry = reinterpret_cast<fi_eq_cm_entry*>(message);
  const uint8_t* data = entry->data;
  for (int i = 0; i < 64; i++) {
    if (Room() < 2 * EventsPerLook()) return;
    uint32_t kind = 0;
    ssize_t length = fi_eq_read(events_, &kind, message, sizeof message, 0);
    if (length == -FI_EAVAIL) {
      ReadError();
      continue;
    }
    if (length < static_cast<ssize_t>(sizeof *entry)) return;
    auto id = static_cast<int32_t>(reinterpret_cast<intptr_t>(entry->fid->context));
    size_t extra = static_cast<size_t>(length) - sizeof *entry;
    if (kind == FI_CONNREQ) {
      requests_[next_id_] = {id, entry->info, {data, data + extra}};
      Append(FabricEventKind::kRequest, next_id_++, id);
      continue;
    }
    FabricLink* found = link(id);
    if (found == nullptr || found->endpoint_ == nullptr) continue;
    if (kind == FI_CONNECTED) {
      found->peer_data_.assign(data, data + extra);
      Append(FabricEventKind::kConnected, id);
    } else if (kind == FI_SHUTDOWN) {
      ReadCompletions(found);
      if (!found->ended_) Append(FabricEventKind::kEnded, id);
      found->ended_ = true;
    }
  }
}

void Fabric::ReadError() {
  uint8_t data[kMaxPrivateBytes];
  fi_eq_err_entry error{};
  error.err_data = data;
  error.err_data_size = sizeof data;
  if (fi_eq_readerr(events_, &error, 0) < 0 || error.fid == nullptr) return;
  FabricLink* found = link(static_cast<int32_t>(reinterpret_cast<intptr_t>(error.fid->context)));
  if (found == nullptr || found->endpoint_ == nullptr || found->ended_) return;
  auto* bytes = static_cast<uint8_t*>(error.err_data);
  if (bytes != nullptr) found->peer_data_.assign(bytes, bytes + error.err_data_size);
  ReadCompletions(found);
  if (!found->ended_) Append(FabricEventKind::kEnded, found->id(), error.err, error.prov_errno);
  found->ended_ = true;
  stats_.errors++;
}

void Fabric::Look(FabricLink* link) {
  if (link->completions_ != nullptr && Room() >= 2 * EventsPerLook()) ReadCompletions(link);
}

// At most a link's receives and reads, and one more event.
void Fabric::ReadCompletions(FabricLink* link) {
  fi_cq_msg_entry entries[kCompletionsPerRead];
  bool room = false;
  for (uint32_t read = 0; read < 2 * shape_.messages + shape_.writes + shape_.reads; read += kCompletionsPerRead) {
    ssize_t count = fi_cq_read(link->completions_, entries, kCompletionsPerRead);
    if (count == -FI_EAVAIL) {
      fi_cq_err_entry error{};
      if (fi_cq_readerr(link->completions_, &error, 0) < 0) break;
      // What was flushed follows the end; any other error is the end.
      if (link->ended_ || error.err == FI_ECANCELED) continue;
      link->ended_ = true;
      stats_.errors++;
      Append(FabricEventKind::kEnded, link->id(), error.err, error.prov_errno);
      continue;
    }
    if (count <= 0) break;
    stats_.completions += static_cast<uint64_t>(count);
    for (ssize_t i = 0; i < count; i++) {
      auto* operation = reinterpret_cast<FabricLink::Operation*>(entries[i].op_context);
      switch (operation->kind) {
        case FabricLink::Kind::kReceive:
          stats_.messages_received++;
          Append(FabricEventKind::kReceived, link->id(), static_cast<int32_t>(operation->index),
                 static_cast<int32_t>(entries[i].len));
          break;
        case FabricLink::Kind::kSend:
        case FabricLink::Kind::kWrite:
          link->words()->messages_done = static_cast<int32_t>(operation->sends);
          link->writes_done_ = operation->writes;
          room = true;
          break;
        case FabricLink::Kind::kRead:
          link->ReadDone(operation);
          Append(FabricEventKind::kRead, link->id(), static_cast<int32_t>(operation->index));
          room = true;
          break;
      }
    }
    if (count < static_cast<ssize_t>(kCompletionsPerRead)) break;
  }
  if (room && link->words()->wants_room != 0 && !link->ended_) {
    link->words()->wants_room = 0;
    Append(FabricEventKind::kRoom, link->id());
  }
}

}  // namespace sockswitch
