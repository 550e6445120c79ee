{
  "variables": {
    "fabric_headers%": "<!(test -f /usr/include/rdma/fi_endpoint.h && echo 1 || echo 0)"
  },
  "target_defaults": {
    "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
    "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_DISABLE_DEPRECATED", "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS", "_GNU_SOURCE"],
    "cflags": ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-fvisibility=hidden"],
    "cflags_cc": ["-std=c++17", "-O2", "-fno-exceptions"],
    "cflags!": ["-O3"]
  },
  "targets": [
    {
      "target_name": "shm",
      "sources": ["shm_binding.cc", "poller_binding.cc", "watcher_binding.cc", "callback.cc", "memory.cc", "channel.cc", "tcp.cc", "poller.cc"]
    }
  ],
  "conditions": [
    ["fabric_headers==1", {
      "targets": [
        {
          "target_name": "fabric",
          "sources": ["fabric_binding.cc", "fabric.cc", "fabric_link.cc", "fabric_library.cc"],
          "libraries": ["-ldl"]
        }
      ]
    }]
  ]
}
