// What the switch asks of the host's TCP/IP that JavaScript cannot: who listens, and a port kept without connecting.
#pragma once
#include <cstdint>
#include <string>
#include <sys/types.h>

namespace sockswitch {

struct TcpListener {
  uid_t owner;
  // Where it is bound, perhaps the wildcard, perhaps of the other family.
  std::string address;
  // Which socket it is: no two of a running system ever have the same.
  uint64_t cookie;
  // What /proc/PID/fd calls it.
  uint32_t inode;
};

struct ListeningSocket {
  uint64_t cookie;
  // Others may listen at the same port (SO_REUSEPORT).
  bool shares_port;
};

// Opens what the questions below need, while there are descriptors to be had.
void PrepareTcp();

// The TCP listener that a connect to `address`:`port` would reach. 0, -ENOENT when there is none, or another -errno when
// it cannot be known. Of several listeners that share the port (SO_REUSEPORT) it is the one that would get a connect from
// `from_address`:`from_port`; an empty `from_address` asks for any of them.
int FindTcpListener(const std::string& address, uint16_t port, const std::string& from_address, uint16_t from_port,
                    TcpListener* listener);

// What socket the descriptor is; -EINVAL when it is not a listening TCP socket.
int DescribeListener(int fd, ListeningSocket* socket);

// Binds a TCP socket on the local address from which a connect to `address` would leave, to a port of the system's
// choice. Returns the descriptor or -errno, and the local address in `local_address` and `local_port`.
int ReserveTcpPort(const std::string& address, uint16_t port, std::string* local_address, uint16_t* local_port);

// Two connected AF_UNIX stream sockets.
int SocketPair(int descriptors[2]);

}  // namespace sockswitch
