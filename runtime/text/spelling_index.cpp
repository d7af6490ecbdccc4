#include "runtime/text/spelling_index.h"

#include <bit>

namespace atlas {

SpellingIndex::SpellingIndex(std::span<const std::string> spellings)
    : spellings_(spellings), slots_(std::bit_ceil(2 * spellings.size() + 2)), mask_(slots_.size() - 1) {
    for (uint32_t id = 0; id < spellings.size(); ++id) {
        const std::string_view spelling = spellings[id];
        if (spelling.empty()) continue;
        const size_t hash = std::hash<std::string_view>()(spelling);
        size_t i = hash & mask_;
        while (slots_[i].id != kEmpty && !(slots_[i].tag == tag(hash) && spellings[slots_[i].id] == spelling))
            i = (i + 1) & mask_;
        slots_[i] = {tag(hash), id};
    }
}

}  // namespace atlas
