#pragma once
// SHA-256 of a stream of bytes.

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

#include "runtime/base/error.h"

namespace atlas {

class Sha256 {
  public:
    Sha256();
    ~Sha256();
    Sha256(const Sha256&) = delete;
    Sha256& operator=(const Sha256&) = delete;
    void add(const void* data, size_t bytes);
    void restart();
    std::string hexadecimal();  // ends it; restart() begins anew

  private:
    struct Context;
    std::unique_ptr<Context> context_;
};

}  // namespace atlas
