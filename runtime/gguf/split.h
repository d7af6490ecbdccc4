#pragma once
// Names of the parts of a split model: "<stem>-00001-of-00003.gguf".

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace atlas::gguf {

struct SplitName {
    std::string stem;    // with its folder
    uint32_t index = 0;  // from 0; the name counts from 1
    uint32_t count = 0;
};

/// Takes a part's name apart, or nothing when it is not one.
std::optional<SplitName> split_name(const std::filesystem::path& path);
std::filesystem::path split_path(const SplitName& name, uint32_t index);

}  // namespace atlas::gguf
