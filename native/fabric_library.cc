#include "fabric_library.h"

#include <array>
#include <csignal>
#include <cstdlib>
#include <dlfcn.h>
#include <mutex>
#include <rdma/fabric.h>

namespace sockswitch {
namespace {

// The layout of `struct fi_info` has changed over time, and with it the version of the symbols that take one. What counts is
// what these headers say: a plain dlsym would hand out the newest layout.
#if FI_VERSION_GE(FI_VERSION(FI_MAJOR_VERSION, FI_MINOR_VERSION), FI_VERSION(2, 0))
constexpr const char* kInfoVersion = "FABRIC_1.8";
#elif FI_VERSION_GE(FI_VERSION(FI_MAJOR_VERSION, FI_MINOR_VERSION), FI_VERSION(1, 20))
constexpr const char* kInfoVersion = "FABRIC_1.7";
#else
constexpr const char* kInfoVersion = "FABRIC_1.3";
#endif

struct Symbols {
  int (*getinfo)(uint32_t, const char*, const char*, uint64_t, const fi_info*, fi_info**);
  void (*freeinfo)(fi_info*);
  fi_info* (*dupinfo)(const fi_info*);
  int (*fabric)(fi_fabric_attr*, fid_fabric**, void*);
  uint32_t (*version)();
  const char* (*strerror)(int);
};

Symbols symbols;
std::string problem;

template <typename F>
bool Find(void* library, F* function, const char* name, const char* version) {
  *function = reinterpret_cast<F>(dlvsym(library, name, version));
  if (*function == nullptr) problem = std::string("libfabric lacks ") + name + "@" + version;
  return *function != nullptr;
}

// Libraries that come with libfabric (libinfinipath, libpsm2) take the signals that end a program, to print a backtrace and to
// call exit() from their handler, which a Node process does not survive in order. What a signal does is the program's.
class KeptSignals {
 public:
  KeptSignals() {
    for (int signal = 1; signal < NSIG; signal++) sigaction(signal, nullptr, &actions_[signal]);
  }
  ~KeptSignals() {
    for (int signal = 1; signal < NSIG; signal++) {
      struct sigaction now{};
      if (sigaction(signal, nullptr, &now) != 0 || now.sa_handler == actions_[signal].sa_handler) continue;
      sigaction(signal, &actions_[signal], nullptr);
    }
  }
  KeptSignals(const KeptSignals&) = delete;
  KeptSignals& operator=(const KeptSignals&) = delete;

 private:
  std::array<struct sigaction, NSIG> actions_{};
};

void Load() {
  KeptSignals kept;
  // Its cache keeps memory registered, and open to whoever has the key, after the registration has been closed: what a peer may
  // read must end when we say so. Read by the library with its first question.
  setenv("FI_MR_CACHE_MONITOR", "disabled", 1);
  void* library = dlopen("libfabric.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    problem = dlerror();
    return;
  }
  // Never closed: its providers leave destructors behind.
  Find(library, &symbols.getinfo, "fi_getinfo", kInfoVersion) &&
      Find(library, &symbols.freeinfo, "fi_freeinfo", kInfoVersion) &&
      Find(library, &symbols.dupinfo, "fi_dupinfo", kInfoVersion) &&
      Find(library, &symbols.fabric, "fi_fabric", "FABRIC_1.1") &&
      Find(library, &symbols.version, "fi_version", "FABRIC_1.0") &&
      Find(library, &symbols.strerror, "fi_strerror", "FABRIC_1.0");
}

}  // namespace

const std::string& LoadFabricLibrary() {
  static std::once_flag once;
  std::call_once(once, Load);
  return problem;
}

std::string FabricLibraryVersion() {
  if (!LoadFabricLibrary().empty()) return "";
  uint32_t version = symbols.version();
  return std::to_string(FI_MAJOR(version)) + "." + std::to_string(FI_MINOR(version));
}

}  // namespace sockswitch

// What the headers' inline functions call.
extern "C" {
int fi_getinfo(uint32_t version, const char* node, const char* service, uint64_t flags, const struct fi_info* hints,
               struct fi_info** info) {
  return sockswitch::symbols.getinfo(version, node, service, flags, hints, info);
}
void fi_freeinfo(struct fi_info* info) { sockswitch::symbols.freeinfo(info); }
struct fi_info* fi_dupinfo(const struct fi_info* info) { return sockswitch::symbols.dupinfo(info); }
int fi_fabric(struct fi_fabric_attr* attributes, struct fid_fabric** fabric, void* context) {
  return sockswitch::symbols.fabric(attributes, fabric, context);
}
const char* fi_strerror(int error) { return sockswitch::symbols.strerror(error); }
}
