#pragma once
// Unicode normalization, for tokenizers that compose text before they cut it.

#include <cstdint>
#include <string>
#include <string_view>

namespace atlas {

enum class Normalization : uint8_t {
    none,  // text is cut as it was typed
    nfc,   // canonical composition: e and U+0301 become U+00E9
};

/// `text` in the given form. Points into `text` where nothing changes, otherwise into `storage`. Bytes that are not
/// UTF-8 stay as they are, and nothing composes across them. O(n log n) for any text.
std::string_view normalize(std::string_view text, Normalization form, std::string& storage);

}  // namespace atlas
