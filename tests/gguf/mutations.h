#pragma once
// A deterministic generator of damaged GGUF files.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace atlas::gguf::testing {

struct Mutant {
    std::string what;  // enough to make it again: "seed 2: field 'array length' at 61 set to 2^63"
    std::vector<std::byte> bytes;
};

/// The files that the mutants are made from; all of them can be read.
std::vector<std::vector<std::byte>> right_files();

/// Calls `visit` with exactly `count` mutants. First every systematic one (cut at every header byte; every integer of
/// the header at its critical values; whole hostile files), then random damage.
void for_each_mutant(size_t count, const std::function<void(const Mutant&)>& visit);

}  // namespace atlas::gguf::testing
