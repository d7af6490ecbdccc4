#include "runtime/gguf/sniff.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <cstring>
#include <string>

namespace atlas::gguf {
namespace {

using std::string_view_literals::operator""sv;

struct Signature {
    std::string_view start;
    std::string_view words;
};

constexpr auto kSignatures = std::to_array<Signature>({
    {"FUGG"sv, "GGUF spelt backwards: its bytes are swapped"},
    {"lmgg"sv, "a GGML model from before GGUF (2023); get the GGUF file of this model"},
    {"fmgg"sv, "a GGML model from before GGUF (2023); get the GGUF file of this model"},
    {"tjgg"sv, "a GGJT model from before GGUF (2023); get the GGUF file of this model"},
    {"algg"sv, "a GGLA adapter from before GGUF (2023)"},
    {"PK\x03\x04"sv, "a zip archive (perhaps a PyTorch checkpoint, or a package to unpack first)"},
    {"\x1f\x8b"sv, "gzip-compressed data; unpack it first"},
    {"\xfd"
     "7zXZ"sv,
     "xz-compressed data; unpack it first"},
    {"\x28\xb5\x2f\xfd"sv, "zstd-compressed data; unpack it first"},
    {"BZh"sv, "bzip2-compressed data; unpack it first"},
    {"7z\xbc\xaf"sv, "a 7z archive; unpack it first"},
    {"Rar!"sv, "a rar archive; unpack it first"},
    {"version https://git-lfs"sv, "a Git LFS pointer: the model itself was not fetched (run 'git lfs pull')"},
    {"\x80\x02"sv, "a Python pickle (a PyTorch checkpoint; convert it to GGUF first)"},
    {"\x80\x03"sv, "a Python pickle (a PyTorch checkpoint; convert it to GGUF first)"},
    {"\x80\x04"sv, "a Python pickle (a PyTorch checkpoint; convert it to GGUF first)"},
    {"\x89HDF"sv, "an HDF5 file (convert it to GGUF first)"},
    {"\x7f"
     "ELF"sv,
     "a program"},
    {"MZ"sv, "a program"},
    {"%PDF"sv, "a PDF document"},
});

bool is_text(std::string_view head) {
    return std::all_of(head.begin(), head.end(), [](char c) {
        const auto byte = static_cast<uint8_t>(c);
        return byte >= 0x20 || byte == '\n' || byte == '\r' || byte == '\t';
    });
}

// safetensors: a u64 length and then a JSON object of that length.
bool is_safetensors(std::span<const std::byte> bytes) {
    uint64_t length = 0;
    if (bytes.size() < 10) return false;
    std::memcpy(&length, bytes.data(), sizeof(length));
    return length >= 2 && length <= bytes.size() - 8 && bytes[8] == std::byte{'{'};
}

}  // namespace

std::string_view looks_like(std::span<const std::byte> bytes) {
    constexpr size_t kLook = 256;
    const std::string_view head(reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), kLook));
    for (const Signature& signature : kSignatures) {
        if (head.starts_with(signature.start)) return signature.words;
    }
    if (is_safetensors(bytes)) return "a safetensors file (convert it to GGUF first)";
    if (bytes.size() < 4) return "only a few bytes; the download is not complete";
    if (std::all_of(head.begin(), head.end(), [](char c) { return c == 0; }))
        return "zeros; the download is not complete or the disk is damaged";
    std::string lower(head);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const size_t first = lower.find_first_not_of(" \t\r\n");
    const std::string_view start =
        first == std::string::npos ? std::string_view() : std::string_view(lower).substr(first);
    if (start.starts_with("<!doctype html") || start.starts_with("<html"))
        return "a web page (the download failed; open the file to see what it says)";
    if (start.starts_with("<?xml") || start.starts_with("<error"))
        return "an XML message (the download failed; open the file to see what it says)";
    if (start.starts_with("{") && is_text(head))
        return "a JSON text (perhaps a server's message that the download failed)";
    if (is_text(head)) return "a text file";
    return "data of a kind we do not know";
}

}  // namespace atlas::gguf
