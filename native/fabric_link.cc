#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <sys/random.h>

#include "fabric.h"

namespace sockswitch {

namespace {

// Far fewer than may be under way, so that whoever waits for room hears of it.
constexpr uint32_t kTransmissionsPerReport = 16;

// What libfabric is told of bytes that go between one place here and one at the peer. Points into itself.
struct Transfer {
  Transfer(void* memory, size_t length, fid_mr* region, uint64_t address, uint64_t key, void* context)
      : here{memory, length}, descriptor(region == nullptr ? nullptr : fi_mr_desc(region)), there{address, length, key} {
    message.msg_iov = &here;
    message.desc = &descriptor;
    message.iov_count = 1;
    message.rma_iov = &there;
    message.rma_iov_count = 1;
    message.context = context;
  }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  iovec here;
  void* descriptor;
  fi_rma_iov there;
  fi_msg_rma message{};
};

}  // namespace

FabricLink::FabricLink(Fabric* fabric, fi_info* info, bool opener) : fabric_(fabric), info_(info), opener_(opener) {}

FabricLink::~FabricLink() {
  Close();
  if (owned_ && memory_ != nullptr) munmap(memory_, bytes_);
}

size_t FabricLink::ReceivesAt() const {
  return MessagesAt() + static_cast<size_t>(fabric_->shape().messages) * fabric_->shape().message_bytes;
}
size_t FabricLink::ArenaAt() const {
  return ReceivesAt() + static_cast<size_t>(fabric_->shape().messages) * fabric_->shape().message_bytes;
}
size_t FabricLink::MirrorAt() const { return ArenaAt() + fabric_->shape().arena_bytes; }

int FabricLink::Open() {
  const FabricShape& shape = fabric_->shape();
  bytes_ = MirrorAt() + shape.arena_bytes;
  void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return -errno;
  memory_ = static_cast<uint8_t*>(memory);

  // A domain of its own: no other link's peer can name this link's memory, whatever keys it guesses.
  int error = fi_domain(fabric_->fabric_, info_, &domain_, nullptr);
  if (error != 0) return error;
  fi_cq_attr attributes{};
  attributes.size = 2 * shape.messages + shape.writes + shape.reads + 16;
  attributes.format = FI_CQ_FORMAT_MSG;
  attributes.wait_obj = FI_WAIT_FD;
  error = fi_cq_open(domain_, &attributes, &completions_, nullptr);
  if (error == 0) error = fi_control(&completions_->fid, FI_GETWAIT, &fd_);
  if (error != 0) return error;

  uint64_t keys[2];
  for (uint64_t& key : keys) {
    error = RandomKey(&key);
    if (error != 0) return error;
  }
  error = fi_mr_reg(domain_, memory_, MirrorAt(), FI_SEND | FI_RECV | FI_WRITE, 0, keys[0], 0, &local_, nullptr);
  if (error == 0) {
    // The peer may write its mirror and read nothing.
    error = fi_mr_reg(domain_, memory_ + MirrorAt(), shape.arena_bytes, FI_REMOTE_WRITE, 0, keys[1], 0, &mirror_, nullptr);
  }
  if (error == 0) error = fi_endpoint(domain_, info_, &endpoint_, reinterpret_cast<void*>(static_cast<intptr_t>(id_)));
  if (error == 0) error = fi_ep_bind(endpoint_, &fabric_->events_->fid, 0);
  if (error == 0) error = fi_ep_bind(endpoint_, &completions_->fid, FI_TRANSMIT | FI_SELECTIVE_COMPLETION);
  if (error == 0) error = fi_ep_bind(endpoint_, &completions_->fid, FI_RECV);
  if (error == 0) error = fi_enable(endpoint_);
  if (error != 0) return error;

  auto prepare = [](std::vector<Operation>* operations, uint32_t count, Kind kind) {
    operations->resize(count);
    for (uint32_t i = 0; i < count; i++) {
      (*operations)[i].kind = kind;
      (*operations)[i].index = i;
    }
  };
  prepare(&sends_, shape.messages, Kind::kSend);
  prepare(&receives_, shape.messages, Kind::kReceive);
  prepare(&writes_, shape.writes, Kind::kWrite);
  prepare(&reads_, shape.reads, Kind::kRead);
  targets_.resize(shape.reads);
  for (uint32_t i = 0; i < shape.reads; i++) free_reads_.push_back(i);
  for (uint32_t i = 0; i < shape.messages && error == 0; i++) error = Receive(i);
  return error;
}

int FabricLink::RandomKey(uint64_t* key) const {
  if (getrandom(key, sizeof *key, 0) != static_cast<ssize_t>(sizeof *key)) return -EIO;
  size_t key_bytes = info_->domain_attr->mr_key_size;
  if (key_bytes < sizeof *key) *key &= (uint64_t{1} << (8 * key_bytes)) - 1;
  return 0;
}

uint64_t FabricLink::mirror_address() const {
  bool is_virtual = (info_->domain_attr->mr_mode & FI_MR_VIRT_ADDR) != 0;
  return is_virtual ? reinterpret_cast<uint64_t>(memory_ + MirrorAt()) : 0;
}
uint64_t FabricLink::mirror_key() const { return fi_mr_key(mirror_); }

int FabricLink::Start(const void* data, size_t length) {
  if (endpoint_ == nullptr) return -ENOTCONN;
  return opener_ ? fi_connect(endpoint_, info_->dest_addr, data, length) : fi_accept(endpoint_, data, length);
}

bool FabricLink::Reports() { return (posted_ + 1) % kTransmissionsPerReport == 0; }

int FabricLink::Send(uint32_t message, uint32_t length, bool reports) {
  if (endpoint_ == nullptr) return -ENOTCONN;
  Operation* operation = &sends_[message];
  operation->sends = sends_posted_ + 1;
  operation->writes = writes_posted_;
  iovec part{memory_ + MessagesAt() + static_cast<size_t>(message) * fabric_->shape().message_bytes, length};
  void* descriptor = fi_mr_desc(local_);
  fi_msg transmission{};
  transmission.msg_iov = &part;
  transmission.desc = &descriptor;
  transmission.iov_count = 1;
  transmission.context = &operation->context;
  ssize_t status = fi_sendmsg(endpoint_, &transmission, reports || Reports() ? FI_COMPLETION : 0);
  if (status == -FI_EAGAIN) fabric_->stats().full++;
  if (status != 0) return static_cast<int>(status);
  posted_++;
  sends_posted_++;
  fabric_->stats().messages_sent++;
  return 0;
}

int FabricLink::Write(uint32_t offset, uint32_t length) {
  if (endpoint_ == nullptr) return -ENOTCONN;
  if (writes_posted_ - writes_done_ >= writes_.size()) {
    fabric_->stats().full++;
    return -EAGAIN;
  }
  Operation* operation = &writes_[writes_posted_ % writes_.size()];
  operation->sends = sends_posted_;
  operation->writes = writes_posted_ + 1;
  Transfer transfer(memory_ + ArenaAt() + offset, length, local_, peer_address_ + offset, peer_key_, &operation->context);
  ssize_t status = fi_writemsg(endpoint_, &transfer.message, Reports() ? FI_COMPLETION : 0);
  if (status == -FI_EAGAIN) fabric_->stats().full++;
  if (status != 0) return static_cast<int>(status);
  posted_++;
  writes_posted_++;
  fabric_->stats().writes++;
  fabric_->stats().written_bytes += length;
  return 0;
}

int FabricLink::Receive(uint32_t buffer) {
  if (endpoint_ == nullptr) return -ENOTCONN;
  uint32_t bytes = fabric_->shape().message_bytes;
  return static_cast<int>(fi_recv(endpoint_, memory_ + ReceivesAt() + static_cast<size_t>(buffer) * bytes, bytes,
                                  fi_mr_desc(local_), 0, &receives_[buffer].context));
}

int FabricLink::Read(void* target, size_t length, uint64_t address, uint64_t key) {
  if (endpoint_ == nullptr) return -ENOTCONN;
  if (free_reads_.empty()) {
    fabric_->stats().full++;
    return -EAGAIN;
  }
  uint32_t number = free_reads_.back();
  fid_mr* region = nullptr;
  if ((info_->domain_attr->mr_mode & FI_MR_LOCAL) != 0) {
    uint64_t requested = 0;
    int error = RandomKey(&requested);
    if (error == 0) error = fi_mr_reg(domain_, target, length, FI_READ, 0, requested, 0, &region, nullptr);
    if (error != 0) return error;
  }
  Transfer transfer(target, length, region, address, key, &reads_[number].context);
  ssize_t status = fi_readmsg(endpoint_, &transfer.message, FI_COMPLETION);
  if (status == -FI_EAGAIN) fabric_->stats().full++;
  if (status != 0) {
    if (region != nullptr) fi_close(&region->fid);
    return static_cast<int>(status);
  }
  free_reads_.pop_back();
  targets_[number] = region;
  // The event that tells of it may be heard when its place has been used again.
  reads_[number].index = next_read_++ & 0x7fffffff;
  fabric_->stats().reads++;
  fabric_->stats().read_bytes += length;
  return static_cast<int>(reads_[number].index);
}

void FabricLink::ReadDone(const Operation* read) {
  auto place = static_cast<uint32_t>(read - reads_.data());
  if (targets_[place] != nullptr) fi_close(&targets_[place]->fid);
  targets_[place] = nullptr;
  free_reads_.push_back(place);
}

int FabricLink::Expose(void* memory, size_t length) {
  if (endpoint_ == nullptr) return -ENOTCONN;
  uint64_t requested = 0;
  Exposure exposure{nullptr, memory};
  int error = RandomKey(&requested);
  if (error == 0) {
    error = fi_mr_reg(domain_, memory, length, FI_REMOTE_READ, 0, requested, 0, &exposure.region, nullptr);
  }
  if (error != 0) return error;
  exposures_[next_exposure_] = exposure;
  return next_exposure_++;
}

void FabricLink::Conceal(int32_t exposure) {
  auto found = exposures_.find(exposure);
  if (found == exposures_.end()) return;
  fi_close(&found->second.region->fid);
  exposures_.erase(found);
}

uint64_t FabricLink::exposed_address(int32_t exposure) const {
  bool is_virtual = (info_->domain_attr->mr_mode & FI_MR_VIRT_ADDR) != 0;
  return is_virtual ? reinterpret_cast<uint64_t>(exposures_.at(exposure).memory) : 0;
}
uint64_t FabricLink::exposed_key(int32_t exposure) const { return fi_mr_key(exposures_.at(exposure).region); }

void FabricLink::Close() {
  if (endpoint_ != nullptr) {
    fi_shutdown(endpoint_, 0);
    fi_close(&endpoint_->fid);
  }
  endpoint_ = nullptr;
  for (auto& [id, exposure] : exposures_) fi_close(&exposure.region->fid);
  exposures_.clear();
  for (fid_mr*& target : targets_) {
    if (target != nullptr) fi_close(&target->fid);
    target = nullptr;
  }
  if (local_ != nullptr) fi_close(&local_->fid);
  if (mirror_ != nullptr) fi_close(&mirror_->fid);
  if (completions_ != nullptr) fi_close(&completions_->fid);
  if (domain_ != nullptr) fi_close(&domain_->fid);
  local_ = mirror_ = nullptr;
  completions_ = nullptr;
  domain_ = nullptr;
  fd_ = -1;
  if (info_ != nullptr) fi_freeinfo(info_);
  info_ = nullptr;
}

}  // namespace sockswitch
