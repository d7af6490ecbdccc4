#pragma once
// The implementation of a File; for the files of gguf/ only.

#include "runtime/base/mapped_file.h"
#include "runtime/gguf/part.h"

namespace atlas::gguf {

struct File::Parts {
    struct Part {
        std::optional<MappedFile> map;  // nothing when the bytes are the caller's
        std::span<const std::byte> bytes;
        uint64_t data_start = 0;
    };
    std::filesystem::path path;  // of the first part
    std::string name;            // in messages
    std::vector<Part> parts;
    PartTables tables;  // of the first part, with the tensors of all
};

}  // namespace atlas::gguf
