// The choice of a token as loops over a sorted list.
#include <algorithm>
#include <array>
#include <cstring>

#include "shaders/sample/arithmetic.h"
#include "tests/reference/ref_ops.h"

namespace atlas {

namespace {

using namespace sampling;
__extension__ typedef unsigned __int128 Uint128;

struct Candidate {
    uint32_t rank;
    uint32_t id;
};

void write_u32(const U32View& view, uint32_t index, uint32_t value) {
    ATLAS_CHECK(index < view.count, "word {} of {}", index, view.count);
    std::memcpy(dynamic_cast<HostStorage&>(*view.storage).data() + view.offset_bytes + 4ull * index, &value, 4);
}

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> c, uint32_t key0, uint32_t key1) {
    for (uint32_t round = 0; round < 10; ++round) {
        const uint32_t k0 = key0 + round * 0x9E3779B9u, k1 = key1 + round * 0xBB67AE85u;
        c = {high_word(0xCD9E8D57u, c[2]) ^ c[1] ^ k0, 0xCD9E8D57u * c[2], high_word(0xD2511F53u, c[0]) ^ c[3] ^ k1,
             0xD2511F53u * c[0]};
    }
    return c;
}

// How many of the candidates it takes until their weights sum to `need`.
size_t head_for(const std::vector<Candidate>& candidates, uint64_t need, float rate) {
    uint64_t sum = 0;
    for (size_t i = 0; i < candidates.size(); ++i) {
        sum += weight_of(candidates[i].rank, candidates[0].rank, rate);
        if (sum >= need) return i + 1;
    }
    ATLAS_CHECK(false, "{} of {}", sum, need);
    return 0;
}

uint64_t sum_of(const std::vector<Candidate>& candidates, uint32_t best, float rate) {
    uint64_t sum = 0;
    for (const Candidate& c : candidates) sum += weight_of(c.rank, best, rate);
    return sum;
}

void penalize(std::vector<float>& logits, const uint32_t* params, const std::vector<uint32_t>& history) {
    for (uint32_t token = 0; token < logits.size(); ++token) {
        const auto times =
            std::count(history.begin() + kHistoryHead, history.begin() + kHistoryHead + history[0], token);
        if (times == 0) continue;
        logits[token] = penalized(logits[token], static_cast<uint32_t>(times), float_of(params[kParamRepetition]),
                                  float_of(params[kParamInverse]), float_of(params[kParamFrequency]),
                                  float_of(params[kParamPresence]));
    }
}

Candidate draw(std::vector<Candidate> candidates, const uint32_t* params) {
    const uint32_t flags = params[kParamFlags], top_k = params[kParamTopK];
    if (top_k > 0 && top_k < candidates.size()) candidates.resize(top_k);
    if ((flags & kWantsTopP) != 0) {
        const uint64_t sum = sum_of(candidates, candidates[0].rank, kOctavesPerUnit);
        const auto need = static_cast<uint64_t>(static_cast<Uint128>(sum) * params[kParamHeadShare] >> 32);
        candidates.resize(head_for(candidates, std::max<uint64_t>(need, 1), kOctavesPerUnit));
    }
    if ((flags & kWantsMinP) != 0) {
        const uint32_t lowest = lowest_rank(candidates[0].rank, float_of(params[kParamLogMinP]));
        while (candidates.back().rank < lowest) candidates.pop_back();
    }
    const float rate = float_of(params[kParamRate]);
    const auto random =
        philox({params[kParamDraw], params[kParamDraw + 1], 0, 0}, params[kParamSeed], params[kParamSeed + 1]);
    const uint64_t fraction = (uint64_t{random[0]} << 32) | random[1];
    const uint64_t sum = sum_of(candidates, candidates[0].rank, rate);
    const auto target = static_cast<uint64_t>(static_cast<Uint128>(sum) * fraction >> 64);
    return candidates[head_for(candidates, target + 1, rate) - 1];
}

}  // namespace

void RefOps::sample(const Tensor& logits, const SampleTables& tables) {
    auto history = tables.history.count > 0 ? read_u32(tables.history) : std::vector<uint32_t>();
    const auto all_params = read_u32(tables.params);
    for (uint32_t row = 0; row < logits.rows; ++row) {
        const uint32_t* params = &all_params.at(row * kParamWords);
        auto values = read_row(logits, row);
        if (!history.empty() && (params[kParamFlags] & kWantsPenalties) != 0) {
            penalize(values, params, history);
            write_row(logits, row, values);
        }
        std::vector<Candidate> candidates;
        for (uint32_t i = 0; i < values.size(); ++i) candidates.push_back({rank_of(values[i]), i});
        const auto damaged = std::find_if(candidates.begin(), candidates.end(),
                                          [](const Candidate& c) { return c.rank >= kRankInfinity; });
        Candidate chosen{0, 0};
        uint32_t status = kChosen;
        if (damaged != candidates.end()) {
            status = kDamaged;
            chosen = *damaged;
        }
        std::stable_sort(candidates.begin(), candidates.end(),
                         [](const Candidate& a, const Candidate& b) { return a.rank > b.rank; });
        const uint32_t best = candidates[0].rank;
        if (status == kChosen && best <= kRankMinusInfinity) {
            status = kImpossible;
            chosen = {best, 0};
        } else if (status == kChosen) {
            chosen = (params[kParamFlags] & kWantsGreedy) != 0 ? candidates[0] : draw(candidates, params);
        }
        const uint64_t sum = (params[kParamFlags] & kWantsSum) != 0 ? sum_of(candidates, best, kOctavesPerUnit) : 0;
        const uint32_t words[] = {
            chosen.id, status, chosen.rank, best, static_cast<uint32_t>(sum), static_cast<uint32_t>(sum >> 32)};
        for (uint32_t i = 0; i < std::size(words); ++i) write_u32(tables.results, row * kResultWords + i, words[i]);
        if (tables.next_tokens.count > 0) write_u32(tables.next_tokens, row, chosen.id);
        if (history.empty() || status != kChosen) continue;
        const auto places = static_cast<uint32_t>(history.size()) - kHistoryHead;
        write_u32(tables.history, kHistoryHead + history[1], chosen.id);
        write_u32(tables.history, 0, std::min(history[0] + 1, places));
        write_u32(tables.history, 1, (history[1] + 1) % places);
    }
}

}  // namespace atlas
