#pragma once
// Cuts text into the words of a pre-tokenizer.

#include <memory>
#include <string_view>
#include <vector>

#include "runtime/text/pre_tokenizers.h"

namespace atlas {

/// Immutable and safe to share between threads.
class Splitter {
  public:
    /// Requires expressions that PCRE2 takes; they are ours, so a bad one is a bug of ours.
    explicit Splitter(std::span<const SplitPattern> patterns);
    Splitter(Splitter&&) noexcept;
    ~Splitter();

    /// The lengths in bytes of the words, in order; their sum is text.size() and none is 0. Bytes that are not UTF-8
    /// are cut like U+FFFD.
    void split(std::string_view text, std::vector<size_t>& word_bytes) const;

  private:
    struct Code;
    std::vector<Code> codes_;
};

}  // namespace atlas
