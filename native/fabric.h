// The endpoints of one event loop over one libfabric provider: listening, connecting, messages, RDMA writes. Everything runs
// on the loop's thread, but the first question to libfabric. What happens is appended to a batch of events.
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_rma.h>
#include <string>
#include <thread>
#include <vector>

#include "poll_source.h"

namespace sockswitch {

// Sizes of every link; both sides of one have the same, which their hellos make sure of.
struct FabricShape {
  uint32_t messages = 0;       // receives posted, and messages under way, each way
  uint32_t message_bytes = 0;  // of each
  uint32_t writes = 0;         // RDMA writes under way
  uint32_t reads = 0;          // RDMA reads under way
  uint32_t arena_bytes = 0;    // of the memory written here, and of its mirror there
};

struct Endpoint {
  std::string address;
  uint16_t port = 0;
};

enum class FabricEventKind : int32_t {
  kRequest = 1,    // id: request, a: listener
  kConnected = 2,  // id: link
  kEnded = 3,      // id: link, a: errno or 0 for an orderly end, b: the provider's own error
  kReceived = 4,   // id: link, a: number of the receive buffer, b: bytes
  kRoom = 5,       // id: link; something that could not be posted may be tried again
  kRead = 6,       // id: link, a: number of the read that is done
};

struct FabricEvent {
  FabricEventKind kind;
  int32_t id, a, b;
};

// The batch, as JavaScript sees it: two words, then the events.
struct FabricBatch {
  static constexpr uint32_t kCapacity = 1024;
  int32_t produced = 0;
  int32_t consumed = 0;
  FabricEvent events[kCapacity];
};

// Counters of a link that JavaScript reads in the first words of its memory.
struct LinkWords {
  int32_t messages_done;  // sends known to be complete; wraps
  int32_t wants_room;     // set by JavaScript: announce the next completion
};

struct FabricRequest {
  int32_t listener;
  fi_info* info;
  std::vector<uint8_t> data;
};

struct FabricStats {
  uint64_t messages_sent = 0, messages_received = 0, writes = 0, written_bytes = 0, reads = 0, read_bytes = 0,
           completions = 0, full = 0, errors = 0;
};

struct FabricDevice {
  std::string name;
  std::string address;
};

class FabricLink;

class Fabric {
 public:
  Fabric(std::string provider, FabricShape shape);
  ~Fabric();

  // libfabric has answered: Open does not wait.
  bool Answered() const { return answered_; }
  // Readable from then on; -errno when there could be none.
  int answered_fd() const { return answered_fd_; }
  // Waits for libfabric's first answer where it is not there yet, and opens the fabric. 0 or -errno.
  int Open();
  // What the provider runs on; after Open.
  std::vector<FabricDevice> Devices() const;
  int event_fd() const { return event_fd_; }

  // A listener's number or -errno. The wildcard is written 0.0.0.0 or ::.
  int Listen(const Endpoint& local);
  void CloseListener(int32_t id);

  // A link's number or -errno: an endpoint with its memory and its receives posted, not connected yet.
  int Connect(const std::string& local, const Endpoint& remote);
  int Accept(int32_t request);
  // Ends a request; 0 or -errno.
  int Reject(int32_t request, const void* data, size_t length);
  const FabricRequest* request(int32_t id) const;
  FabricLink* link(int32_t id) const;
  // Closes the endpoint; its memory stays until Release.
  void Close(int32_t link);
  void Release(int32_t link);
  // Takes note of what has completed on this link, where the batch has room for the events.
  void Look(FabricLink* link);

  // Belongs to whoever took it.
  FabricBatch* TakeBatch() { return batch_owner_.release(); }
  PollSource* source() { return source_; }
  FabricStats& stats() { return stats_; }
  const FabricShape& shape() const { return shape_; }

 private:
  friend class FabricLink;
  void Probe();
  fi_info* Hints() const;
  bool Fill();
  bool Arm();
  bool Append(FabricEventKind kind, int32_t id, int32_t a = 0, int32_t b = 0);
  // The most events that one look at a link appends.
  uint32_t EventsPerLook() const { return 2 * shape_.messages + shape_.reads + 2; }
  uint32_t Room() const { return FabricBatch::kCapacity - static_cast<uint32_t>(batch_.produced); }
  void ReadEvents();
  void ReadError();
  void ReadCompletions(FabricLink* link);
  int Adopt(std::unique_ptr<FabricLink> link, int error);
  int ListenAt(const Endpoint& local);

  struct Listener {
    fid_pep* endpoint = nullptr;
    fi_info* info = nullptr;
  };

  std::string provider_;
  FabricShape shape_;
  std::thread probe_;
  std::atomic<bool> answered_{false};
  int answered_fd_;
  int probed_ = 0;
  fi_info* infos_ = nullptr;
  bool opened_ = false;
  int open_error_ = 0;
  fid_fabric* fabric_ = nullptr;
  fid_eq* events_ = nullptr;
  int event_fd_ = -1;
  // Reading the event queue costs a system call; it is due after a wake-up, and now and then.
  uint32_t looks_ = 0;
  int32_t next_id_ = 1;
  std::map<int32_t, Listener> listeners_;
  std::map<int32_t, FabricRequest> requests_;
  std::map<int32_t, std::unique_ptr<FabricLink>> links_;
  // Those with an open endpoint.
  std::vector<FabricLink*> open_links_;
  std::unique_ptr<FabricBatch> batch_owner_;
  FabricBatch& batch_;
  FabricStats stats_;
  // Stays when the fabric is gone: the poller may ask once more.
  PollSource* source_;
};

// One endpoint and its memory: words, messages out, messages in, the arena we write, the mirror of the peer's.
class FabricLink {
 public:
  FabricLink(Fabric* fabric, fi_info* info, bool opener);
  ~FabricLink();

  int Open();
  // Connects or accepts, saying `data` first.
  int Start(const void* data, size_t length);
  void SetPeer(uint64_t address, uint64_t key) {
    peer_address_ = address;
    peer_key_ = key;
  }
  // Offsets are those of the link's memory. Each answers 0 or -errno; -EAGAIN: later, kRoom tells when.
  // `reports`: its completion is noted by itself, and not with that of one of the next.
  int Send(uint32_t message, uint32_t length, bool reports);
  int Write(uint32_t offset, uint32_t length);
  int Receive(uint32_t buffer);
  // Reads what the peer has exposed into memory that stays until kRead, or Close. The number of the read, or -errno.
  int Read(void* target, size_t length, uint64_t address, uint64_t key);
  // Lets the peer read this memory, which stays until the peer cannot have a read under way. A number, or -errno.
  int Expose(void* memory, size_t length);
  // Takes that back. What the peer has asked for before is under way until a message sent after this has gone.
  void Conceal(int32_t exposure);
  // What the peer must know to read there.
  uint64_t exposed_address(int32_t exposure) const;
  uint64_t exposed_key(int32_t exposure) const;
  void Close();

  int32_t id() const { return id_; }
  bool opener() const { return opener_; }
  int fd() const { return fd_; }
  uint8_t* memory() const { return memory_; }
  size_t bytes() const { return bytes_; }
  // The memory belongs to whoever took it.
  void Disown() { owned_ = false; }
  // What the peer must know to write its mirror here.
  uint64_t mirror_address() const;
  uint64_t mirror_key() const;
  const std::vector<uint8_t>& peer_data() const { return peer_data_; }
  static constexpr size_t kWordBytes = 4096;

 private:
  friend class Fabric;
  enum class Kind { kSend, kReceive, kWrite, kRead };
  struct Operation {
    fi_context2 context;
    Kind kind;
    uint32_t index;
    // Messages and writes posted up to this one: transmissions complete in order.
    uint32_t sends, writes;
  };
  struct Exposure {
    fid_mr* region;
    void* memory;
  };
  // A key that no peer can guess, as long as this provider's are.
  int RandomKey(uint64_t* key) const;
  void ReadDone(const Operation* read);
  LinkWords* words() const { return reinterpret_cast<LinkWords*>(memory_); }
  size_t MessagesAt() const { return kWordBytes; }
  size_t ReceivesAt() const;
  size_t ArenaAt() const;
  size_t MirrorAt() const;

  Fabric* fabric_;
  int32_t id_ = 0;
  fi_info* info_;
  bool opener_;
  bool ended_ = false;
  uint8_t* memory_ = nullptr;
  size_t bytes_ = 0;
  bool owned_ = true;
  fid_domain* domain_ = nullptr;
  fid_cq* completions_ = nullptr;
  int fd_ = -1;
  fid_mr* local_ = nullptr;
  fid_mr* mirror_ = nullptr;
  fid_ep* endpoint_ = nullptr;
  uint64_t peer_address_ = 0;
  uint64_t peer_key_ = 0;
  std::vector<uint8_t> peer_data_;
  std::vector<Operation> sends_, receives_, writes_, reads_;
  // Places that no read uses, and what of the application each read has registered, where the provider wants that.
  std::vector<uint32_t> free_reads_;
  std::vector<fid_mr*> targets_;
  uint32_t next_read_ = 0;
  std::map<int32_t, Exposure> exposures_;
  int32_t next_exposure_ = 1;
  // Whether this transmission is to report its completion: a report costs system calls, so only one in some does.
  bool Reports();
  uint32_t posted_ = 0;
  uint32_t sends_posted_ = 0;
  uint32_t writes_posted_ = 0;
  uint32_t writes_done_ = 0;
};

// The numeric form of a socket address; empty when it is none.
Endpoint EndpointOf(const void* address);

}  // namespace sockswitch
