#include "tcp.h"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sockswitch {

namespace {

union Endpoint {
  sockaddr base;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

bool Parse(const std::string& address, uint16_t port, Endpoint* endpoint, socklen_t* length) {
  *endpoint = {};
  if (inet_pton(AF_INET, address.c_str(), &endpoint->v4.sin_addr) == 1) {
    endpoint->v4.sin_family = AF_INET;
    endpoint->v4.sin_port = htons(port);
    *length = sizeof endpoint->v4;
    return true;
  }
  if (inet_pton(AF_INET6, address.c_str(), &endpoint->v6.sin6_addr) == 1) {
    endpoint->v6.sin6_family = AF_INET6;
    endpoint->v6.sin6_port = htons(port);
    *length = sizeof endpoint->v6;
    return true;
  }
  return false;
}

bool Format(const Endpoint& endpoint, std::string* address, uint16_t* port) {
  char text[INET6_ADDRSTRLEN];
  bool v4 = endpoint.base.sa_family == AF_INET;
  const void* source = v4 ? static_cast<const void*>(&endpoint.v4.sin_addr) : &endpoint.v6.sin6_addr;
  if (inet_ntop(endpoint.base.sa_family, source, text, sizeof text) == nullptr) return false;
  *address = text;
  *port = ntohs(v4 ? endpoint.v4.sin_port : endpoint.v6.sin6_port);
  return true;
}

// One netlink socket per thread, made at the first question.
int DiagSocket() {
  struct Owned {
    int fd = -1;
    ~Owned() {
      if (fd >= 0) close(fd);
    }
  };
  static thread_local Owned owned;
  if (owned.fd < 0) owned.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  return owned.fd;
}

// One question to the kernel, answered the way it would look up the listener for an incoming SYN.
// `from` may be all zeroes.
int AskSockDiag(const Endpoint& endpoint, const Endpoint& from, inet_diag_msg* found) {
  int fd = DiagSocket();
  if (fd < 0) return -errno;
  static thread_local uint32_t sequence = 0;
  struct {
    nlmsghdr header;
    inet_diag_req_v2 body;
  } request = {};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.header.nlmsg_seq = ++sequence;
  request.body.sdiag_family = static_cast<uint8_t>(endpoint.base.sa_family);
  request.body.sdiag_protocol = IPPROTO_TCP;
  request.body.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
  request.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  if (endpoint.base.sa_family == AF_INET) {
    request.body.id.idiag_sport = endpoint.v4.sin_port;
    memcpy(request.body.id.idiag_src, &endpoint.v4.sin_addr, sizeof endpoint.v4.sin_addr);
    request.body.id.idiag_dport = from.v4.sin_port;
    memcpy(request.body.id.idiag_dst, &from.v4.sin_addr, sizeof from.v4.sin_addr);
  } else {
    request.body.id.idiag_sport = endpoint.v6.sin6_port;
    memcpy(request.body.id.idiag_src, &endpoint.v6.sin6_addr, sizeof endpoint.v6.sin6_addr);
    request.body.id.idiag_dport = from.v6.sin6_port;
    memcpy(request.body.id.idiag_dst, &from.v6.sin6_addr, sizeof from.v6.sin6_addr);
  }
  if (send(fd, &request, sizeof request, 0) < 0) return -errno;
  for (;;) {
    alignas(nlmsghdr) char answer[4096];
    // The kernel has answered by the time send returns.
    ssize_t received = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
    if (received < 0) return -errno;
    auto* header = reinterpret_cast<nlmsghdr*>(answer);
    if (!NLMSG_OK(header, static_cast<size_t>(received))) return -EIO;
    if (header->nlmsg_seq != sequence) continue;
    if (header->nlmsg_type == NLMSG_ERROR) {
      int error = static_cast<nlmsgerr*>(NLMSG_DATA(header))->error;
      return error < 0 ? error : -EIO;
    }
    if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY || header->nlmsg_len < NLMSG_LENGTH(sizeof *found)) return -EIO;
    memcpy(found, NLMSG_DATA(header), sizeof *found);
    return 0;
  }
}

// The address from which a connect to another host would leave. A datagram socket is connected without a packet.
bool SourceFor(const Endpoint& destination, socklen_t length, Endpoint* local) {
  int fd = socket(destination.base.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  socklen_t local_length = sizeof *local;
  bool found = connect(fd, &destination.base, length) == 0 && getsockname(fd, &local->base, &local_length) == 0;
  int error = errno;
  close(fd);
  errno = error;
  return found;
}

}  // namespace

void PrepareTcp() { DiagSocket(); }

int FindTcpListener(const std::string& address, uint16_t port, const std::string& from_address, uint16_t from_port,
                    TcpListener* listener) {
  constexpr uint8_t kListen = 10;
  Endpoint endpoint;
  Endpoint from = {};
  socklen_t length;
  if (!Parse(address, port, &endpoint, &length)) return -EINVAL;
  if (!from_address.empty() && (!Parse(from_address, from_port, &from, &length) ||
                                from.base.sa_family != endpoint.base.sa_family)) {
    return -EINVAL;
  }
  inet_diag_msg found;
  int error = AskSockDiag(endpoint, from, &found);
  if (error != 0) return error;
  if (found.idiag_state != kListen) return -ENOENT;
  Endpoint bound = {};
  bound.base.sa_family = found.idiag_family;
  if (found.idiag_family == AF_INET) {
    memcpy(&bound.v4.sin_addr, found.id.idiag_src, sizeof bound.v4.sin_addr);
  } else {
    memcpy(&bound.v6.sin6_addr, found.id.idiag_src, sizeof bound.v6.sin6_addr);
  }
  uint16_t unused;
  if (!Format(bound, &listener->address, &unused)) return -EIO;
  listener->owner = found.idiag_uid;
  listener->inode = found.idiag_inode;
  listener->cookie = (static_cast<uint64_t>(found.id.idiag_cookie[1]) << 32) | found.id.idiag_cookie[0];
  return 0;
}

int DescribeListener(int fd, ListeningSocket* described) {
  auto option = [fd](int name, auto* value) {
    socklen_t length = sizeof *value;
    return getsockopt(fd, SOL_SOCKET, name, value, &length) == 0;
  };
  int protocol = 0;
  int accepting = 0;
  int reuse_port = 0;
  if (!option(SO_PROTOCOL, &protocol) || protocol != IPPROTO_TCP) return -EINVAL;
  if (!option(SO_ACCEPTCONN, &accepting) || accepting == 0) return -EINVAL;
  if (!option(SO_REUSEPORT, &reuse_port) || !option(SO_COOKIE, &described->cookie)) return -errno;
  described->shares_port = reuse_port != 0;
  return 0;
}

int ReserveTcpPort(const std::string& address, uint16_t port, std::string* local_address, uint16_t* local_port) {
  Endpoint destination;
  socklen_t length;
  if (!Parse(address, port, &destination, &length)) return -EINVAL;
  Endpoint local = destination;
  // A destination of this host is reached from that very address; the kernel would choose the same source.
  if (destination.base.sa_family == AF_INET) {
    local.v4.sin_port = 0;
    if ((ntohl(destination.v4.sin_addr.s_addr) >> 24) == 127) local.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  } else {
    local.v6.sin6_port = 0;
  }
  int fd = socket(destination.base.sa_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd < 0) return -errno;
  Endpoint bound = {};
  socklen_t bound_length = sizeof bound;
  bool is_bound = bind(fd, &local.base, length) == 0;
  if (!is_bound && errno == EADDRNOTAVAIL && SourceFor(destination, length, &local)) {
    (local.base.sa_family == AF_INET ? local.v4.sin_port : local.v6.sin6_port) = 0;
    is_bound = bind(fd, &local.base, length) == 0;
  }
  if (!is_bound || getsockname(fd, &bound.base, &bound_length) != 0 ||
      !Format(bound, local_address, local_port)) {
    int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

int SocketPair(int descriptors[2]) {
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, descriptors) == 0 ? 0 : -errno;
}

}  // namespace sockswitch
