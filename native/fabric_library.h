// libfabric, found at run time. Its few exported symbols are defined in fabric_library.cc and forward to the library that
// was loaded, so that the headers' inline functions work as they are.
#pragma once
#include <string>

namespace sockswitch {

// Loads the library, once per process, for good. Empty when it can be used, else why not.
const std::string& LoadFabricLibrary();
// The version of what was loaded, such as 1.17; empty without it.
std::string FabricLibraryVersion();

}  // namespace sockswitch
