#pragma once
// Measures speculative decoding: with a given acceptance (what do steps cost?), or with a lookup and a draft model
// (what is gained?). The tokens of the answer are either given, so that random weights and weak models can be measured,
// or the model's own.

#include <functional>
#include <string>

#include "bench/model_bench.h"
#include "runtime/session/speculation/speculation.h"

namespace atlas::bench {

struct SpeculationWish {
    std::vector<double> shares;      // acceptance, of each draft token independently
    uint32_t n_tokens = 128;         // of the answer, with shares and where it is the model's own
    uint32_t depth = 0;              // tokens of context before it
    std::vector<TokenId> prompt;     // for lookup and draft: what stands before the answer
    std::vector<TokenId> reference;  // the answer; empty: the model's own, greedy
    std::function<Result<std::unique_ptr<Speculator>>()>
        make_lookup;              // one that has seen nothing; empty: no lookup is measured
    Speculator* draft = nullptr;  // null: no draft is measured
    uint32_t draft_max = 23;
    bool always = false;  // draft_max draft tokens in every step, even where that is slower
    std::stop_token stop;
};

struct SpeculationRow {
    std::string who;      // "80 %", "lookup", "draft", "lookup and draft"
    double plain_ms = 0;  // of all tokens, chosen by the device one step ahead, without draft tokens
    double ms = 0;
    double plain_cpu_ms = 0, cpu_ms = 0;  // processor time of the process: on a software device the device's work,
                                          // independent of other programs
    SpeculationFigures figures;

    double speed_up() const { return plain_ms / ms; }
    double cpu_speed_up() const { return plain_cpu_ms / cpu_ms; }
    /// The host's work per block besides waiting for the device: choosing a width and comparing; without recording.
    double host_ms_per_block() const {
        return figures.n_blocks > 0 ? (figures.host_ms + figures.draft_ms) / double(figures.n_blocks) : 0;
    }
};

/// Context that a measurement takes.
uint32_t context_for(const SpeculationWish& wish);

/// Each row runs once over a part of the answer to record, and once to measure, with new speculators that have not seen
/// the first run; a draft model is kept, with the measurements of its own speed. Fails: as Session; cancelled.
Result<std::vector<SpeculationRow>> measure_speculation(const std::shared_ptr<const Model>& model, KvFormats kv,
                                                        const SpeculationWish& wish);

std::string markdown(const std::vector<SpeculationRow>& rows);

}  // namespace atlas::bench
