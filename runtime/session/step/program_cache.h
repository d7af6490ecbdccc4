#pragma once
// Recorded programs by what they depend on.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/ops/backend.h"
#include "runtime/session/step/step_tables.h"

namespace atlas {

/// Holds a few programs; the one that was not used for longest is dropped. A running program was used last, so it
/// stays.
class ProgramCache {
  public:
    explicit ProgramCache(size_t most) : most_(most) { entries_.reserve(most); }

    /// Null: not recorded. Counts as a use.
    Program* find(const StepKey& key) {
        for (Entry& entry : entries_) {
            if (entry.key != key) continue;
            entry.last_use = ++n_uses_;
            return entry.program.get();
        }
        return nullptr;
    }
    bool has(const StepKey& key) const {
        return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.key == key; });
    }
    Program* add(const StepKey& key, std::unique_ptr<Program> program) {
        if (entries_.size() == most_) {
            entries_.erase(std::min_element(entries_.begin(), entries_.end(),
                                            [](const Entry& a, const Entry& b) { return a.last_use < b.last_use; }));
        }
        entries_.push_back({key, ++n_uses_, std::move(program)});
        return entries_.back().program.get();
    }
    void clear() { entries_.clear(); }

  private:
    struct Entry {
        StepKey key;
        uint64_t last_use = 0;
        std::unique_ptr<Program> program;
    };
    size_t most_;
    std::vector<Entry> entries_;
    uint64_t n_uses_ = 0;
};

}  // namespace atlas
