#include "runtime/session/speculation/lookup.h"

#include <algorithm>
#include <array>

namespace atlas {

namespace {

// Texts are separated by ids that no vocabulary has and that are all different, so that no match crosses a border.
constexpr uint32_t kFirstSeparator = 0xF0000000u;

// After a changed word a copy continues: the tokens that follow are looked for up to this far after the place where
// it stopped, and for this many tokens.
constexpr uint32_t kRealignWindow = 24;
// A match of kRealCopy tokens counts as a copy; a suffix of more than kShort equal tokens needs no realignment.
constexpr uint32_t kRealCopy = 8;
constexpr uint32_t kShort = 3;

// Classes 0 .. 10: lengths up to these; 11: longer. 12, 13: realigned after one equal token, after more.
constexpr std::array<uint32_t, 11> kLengths = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64};
constexpr std::array<double, 14> kPriors = {0.2, 0.35, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.5, 0.7};
constexpr uint8_t kRealigned = 12;

}  // namespace

uint8_t LookupSpeculator::evidence_of(uint32_t length) {
    return static_cast<uint8_t>(std::lower_bound(kLengths.begin(), kLengths.end(), length) - kLengths.begin());
}

void LookupSpeculator::priors(std::span<double> of_class) const {
    std::copy(kPriors.begin(), kPriors.end(), of_class.begin());
}

void LookupSpeculator::append(uint32_t token) {
    text_.push_back(token);
    automaton_.append(token);
}

Result<void> LookupSpeculator::add_file(std::span<const uint32_t> tokens) {
    if (file_tokens_.size() + tokens.size() >= kMostTokens) {
        return fail(ErrorCode::limit, "lookup files hold more than {} tokens: pass fewer or shorter ones", kMostTokens);
    }
    for (const uint32_t token : tokens) file_tokens_.push_back(token);
    file_tokens_.push_back(kFirstSeparator + n_separators_++);
    return {};
}

// Forgets everything but the files.
void LookupSpeculator::restart(std::span<const uint32_t> timeline) {
    automaton_ = {};
    text_.clear();
    for (const uint32_t token : file_tokens_) append(token);
    timeline_at_ = static_cast<uint32_t>(text_.size());
    for (const uint32_t token : timeline) append(token);
}

Result<void> LookupSpeculator::begin(std::span<const uint32_t> timeline) {
    source_ = {};
    lost_for_ = UINT32_MAX;
    if (text_.empty() || text_.size() + timeline.size() >= kMostTokens) {
        restart(timeline);
    } else {
        const std::span<const uint32_t> known = std::span<const uint32_t>(text_).subspan(timeline_at_);
        const bool goes_on =
            known.size() <= timeline.size() && std::equal(known.begin(), known.end(), timeline.begin());
        if (!goes_on) {
            append(kFirstSeparator + n_separators_++);
            timeline_at_ = static_cast<uint32_t>(text_.size());
        }
        for (const uint32_t token : timeline.subspan(goes_on ? known.size() : 0)) append(token);
    }
    const auto& match = automaton_.match();
    source_ = {match.next, match.length, false};
    return {};
}

Result<void> LookupSpeculator::accept(uint32_t token) {
    if (text_.size() >= kMostTokens) {  // it stops learning until the next begin()
        source_ = {};
        return {};
    }
    append(token);
    follow(token);
    return {};
}

// Stays with the place that is being copied as long as it is right and no other suffix is longer; where a copy ends,
// the place is remembered.
void LookupSpeculator::follow(uint32_t token) {
    const auto& match = automaton_.match();
    const bool was_right = source_.length > 0 && source_.next + 1 < text_.size() && text_[source_.next] == token;
    if (was_right) {
        ++source_.next;
        ++source_.length;
        if (source_.realigned && source_.length > kShort) source_.realigned = false;
        if (source_.realigned || source_.length >= match.length) return;
    } else if (source_.length >= kRealCopy) {
        lost_at_ = source_.next;
        lost_for_ = 0;
    }
    if (lost_for_ < kRealignWindow) ++lost_for_;
    if (match.length <= kShort && lost_for_ < kRealignWindow && realign()) return;
    source_ = {match.next, match.length, false};
}

// Looks for the last tokens again, in the window after the place where the copy ended; more equal tokens first, then
// the nearest.
bool LookupSpeculator::realign() {
    const auto n = static_cast<uint32_t>(text_.size());
    const uint32_t end = std::min(lost_at_ + kRealignWindow, n - 1);
    Source best;
    for (uint32_t at = lost_at_; at < end; ++at) {
        uint32_t length = 0;
        while (length < kShort && length <= at - lost_at_ && length < lost_for_ &&
               text_[at - length] == text_[n - 1 - length])
            ++length;
        if (length > best.length) best = {at + 1, length, true};
    }
    if (best.length == 0) return false;
    source_ = best;
    return true;
}

Result<void> LookupSpeculator::propose(uint32_t most, Proposal& proposal) {
    // It knows nothing about what follows other draft tokens.
    if (!proposal.tokens.empty() || source_.length == 0) return {};
    const auto n = static_cast<uint32_t>(text_.size());
    for (uint32_t i = 0; i < most; ++i) {
        // A place so near the end that the copy reaches it repeats itself.
        const uint32_t at = source_.next + i;
        const uint32_t token = at < n ? text_[at] : proposal.tokens[at - n];
        if (token >= kFirstSeparator) break;
        const bool realigned = source_.realigned && source_.length + i <= kShort;
        proposal.tokens.push_back(token);
        proposal.evidence.push_back(realigned ? static_cast<uint8_t>(kRealigned + (source_.length + i > 1 ? 1 : 0))
                                              : evidence_of(source_.length + i));
    }
    return {};
}

}  // namespace atlas
