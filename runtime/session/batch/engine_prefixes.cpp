// Requests whose prompts begin the same share pages.
#include <algorithm>

#include "runtime/session/batch/engine.h"

namespace atlas {

namespace {

// How many tokens `tokens` and `other` share in the page at which `timeline` ends; 0 if the pages before it differ.
size_t common_in_page(const Timeline& timeline, std::span<const TokenId> tokens, const Timeline& owner,
                      std::span<const TokenId> other) {
    const size_t first = timeline.tokens().size(), page = first / kPageTokens;
    if (first % kPageTokens != 0 || owner.tokens().size() < first || other.size() < first) return 0;
    if (page > 0 && owner.pages()[page - 1] != timeline.pages()[page - 1]) return 0;
    const auto mine = tokens.subspan(first, std::min<size_t>(tokens.size() - first, kPageTokens));
    const auto theirs = other.subspan(first, std::min<size_t>(other.size() - first, kPageTokens));
    return size_t(std::mismatch(mine.begin(), mine.end(), theirs.begin(), theirs.end()).first - mine.begin());
}

}  // namespace

// Prompts reuse pages in memory and wait for pages that an older request computes: nothing is computed twice at once.
void Engine::find_prefixes() {
    for (size_t i = 0; i < requests_.size(); ++i) {
        Running& running = *requests_[i];
        running.waits = false;
        if (!running.is_admitted || running.answers()) continue;
        const uint32_t before = static_cast<uint32_t>(running.timeline.tokens().size());
        running.timeline.reuse(running.tokens);
        share_last_page(i);
        const uint32_t gained = static_cast<uint32_t>(running.timeline.tokens().size()) - before;
        if (running.result.n_preempted == 0) running.result.reused_tokens += gained;
    }
}

// The index knows full pages only. A prompt's last page is found at requests that compute it or have just done so.
void Engine::share_last_page(size_t i) {
    Running& running = *requests_[i];
    if (runner_->pool().states().exist()) return;  // states are kept at the ends of pages
    const auto wanted = std::span(running.tokens).first(running.tokens.size() - 1);  // the last one runs for its logits
    const Running* best = nullptr;
    size_t most = 0, coming = 0;
    for (size_t j = 0; j < requests_.size(); ++j) {
        const Running& other = *requests_[j];
        if (j == i || !other.is_admitted) continue;
        const size_t there = common_in_page(running.timeline, wanted, other.timeline, other.timeline.tokens());
        if (there > most) {
            most = there;
            best = &other;
        }
        if (j < i && !other.answers())
            coming = std::max(coming, common_in_page(running.timeline, wanted, other.timeline, other.tokens));
    }
    running.waits = coming > most;
    if (running.waits || best == nullptr) return;
    const size_t n = running.timeline.tokens().size() + most;
    running.timeline = best->timeline.fork();
    running.timeline.rewind(static_cast<uint32_t>(n));
}

}  // namespace atlas
