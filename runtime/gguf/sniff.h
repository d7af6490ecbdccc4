#pragma once
// Describes what a file that is not GGUF looks like.

#include <cstddef>
#include <span>
#include <string_view>

namespace atlas::gguf {

/// "a safetensors file (convert it to GGUF first)", "a web page (the download failed)", ...; always a phrase that ends
/// a sentence.
std::string_view looks_like(std::span<const std::byte> bytes);

}  // namespace atlas::gguf
