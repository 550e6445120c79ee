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
};

// Opens what the questions below need, while there are descriptors to be had.
void PrepareTcp();

// The TCP listener that a connect to `address`:`port` would reach. 0, -ENOENT when there is none, or another -errno when
// it cannot be known.
int FindTcpListener(const std::string& address, uint16_t port, TcpListener* listener);

// Binds a TCP socket on the local address from which a connect to `address` would leave, to a port of the system's
// choice. Returns the descriptor or -errno, and the local address in `local_address` and `local_port`.
int ReserveTcpPort(const std::string& address, uint16_t port, std::string* local_address, uint16_t* local_port);

// Two connected AF_UNIX stream sockets.
int SocketPair(int descriptors[2]);

}  // namespace sockswitch
