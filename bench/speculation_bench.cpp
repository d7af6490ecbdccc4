#include "bench/speculation_bench.h"

#include <chrono>
#include <ctime>
#include <functional>
#include <random>
#include <tuple>

namespace atlas::bench {

namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double cpu_ms_now() { return double(std::clock()) * 1000 / CLOCKS_PER_SEC; }

/// Tokens of the answer that record steps before anything is measured.
constexpr size_t kWarmUp = 160;

/// Proposes the answer, with wrong tokens at the given rate. The same seed is wrong in the same places.
class KnownAnswer final : public Speculator {
  public:
    KnownAnswer(std::span<const TokenId> answer, double share) : answer_(answer), share_(share), random_(1) {}
    Result<void> begin(std::span<const TokenId>) override {
        at_ = 0;
        return {};
    }
    Result<void> accept(TokenId) override {
        ++at_;
        return {};
    }
    Result<void> propose(uint32_t most, Proposal& proposal) override {
        std::bernoulli_distribution right(share_);
        for (uint32_t i = 0; i < most && at_ + i < answer_.size(); ++i) {
            const TokenId token = answer_[at_ + i];
            proposal.tokens.push_back(right(random_) ? token : token ^ 1u);
            proposal.evidence.push_back(0);
        }
        return {};
    }
    void priors(std::span<double> of_class) const override { of_class[0] = share_; }

  private:
    std::span<const TokenId> answer_;
    double share_;
    size_t at_ = 0;
    std::mt19937_64 random_;
};

/// Forwards everything to a speculator that outlives it.
class Borrowed final : public Speculator {
  public:
    explicit Borrowed(Speculator& other) : other_(other) {}
    Result<void> begin(std::span<const TokenId> timeline) override { return other_.begin(timeline); }
    Result<void> accept(TokenId token) override { return other_.accept(token); }
    Result<void> propose(uint32_t most, Proposal& proposal) override { return other_.propose(most, proposal); }
    Result<bool> queue(uint32_t n, const Proposal& before, const DraftPlace& place, QueuedDrafts& queued) override {
        return other_.queue(n, before, place, queued);
    }
    Result<void> collect(Proposal& proposal) override { return other_.collect(proposal); }
    double ms_per_token() const override { return other_.ms_per_token(); }
    bool can_draft() const override { return other_.can_draft(); }
    Result<uint64_t> shrink(uint64_t bytes) override { return other_.shrink(bytes); }
    void priors(std::span<double> of_class) const override { other_.priors(of_class); }

  private:
    Speculator& other_;
};

std::vector<TokenId> tokens_for(uint32_t n, uint32_t n_vocab, uint32_t seed) {
    std::vector<TokenId> tokens(n);
    std::mt19937 random(seed);
    for (TokenId& token : tokens)
        token = static_cast<TokenId>(random() % (n_vocab / 2 * 2));  // its neighbour is a token, too
    return tokens;
}

class Bench {
  public:
    Bench(Session& session, std::vector<TokenId> prompt, std::vector<TokenId> answer, const SpeculationWish& wish)
        : session_(session), prompt_(std::move(prompt)), answer_(std::move(answer)), wish_(wish), stop_(wish.stop) {}

    using Maker = std::function<Result<std::vector<std::unique_ptr<Speculator>>>()>;

    /// Every round begins with empty accounts and a lookup that has not seen the earlier round.
    Result<SpeculationRow> measure(const Maker& make, std::string who) {
        ATLAS_TRY_VOID(round(make, std::min(kWarmUp, answer_.size())).map([](const auto&) {}));
        ATLAS_TRY(SpeculationRow row, round(make, answer_.size()));
        row.who = std::move(who);
        return row;
    }
    std::span<const TokenId> answer() const { return answer_; }

  private:
    Result<SpeculationRow> round(const Maker& make, size_t n_tokens) {
        session_.rewind(static_cast<uint32_t>(std::min(session_.tokens().size(), prompt_.size())));
        ATLAS_TRY(auto who, make());
        Speculators speculation(std::move(who), wish_.draft_max);
        if (wish_.always) speculation.length().fix_width(wish_.draft_max + 1);
        SpeculationRow row;
        ATLAS_TRY_VOID(plain(n_tokens, row));
        ATLAS_TRY_VOID(drafted(speculation, n_tokens, row));
        return row;
    }

    /// As run and chat decode.
    Result<void> plain(size_t n_tokens, SpeculationRow& row) {
        ATLAS_TRY_VOID(session_.sync(prompt_, {.stop = stop_}));
        ATLAS_TRY(const Sampler sampler, Sampler::create({.temperature = 0}));
        ATLAS_TRY_VOID(session_.start_choosing(sampler));
        const auto start = Clock::now();
        const double cpu = cpu_ms_now();
        for (size_t i = 0; i < n_tokens && !stop_.stop_requested(); ++i)
            ATLAS_TRY_VOID(session_.next_choice(i + 1 < n_tokens));
        row.plain_ms = ms_since(start);
        row.plain_cpu_ms = cpu_ms_now() - cpu;
        session_.stop_choosing();
        return {};
    }

    Result<void> drafted(Speculators& speculation, size_t n_tokens, SpeculationRow& row) {
        ATLAS_TRY_VOID(session_.sync(prompt_, {.stop = stop_}));
        ATLAS_TRY(Sampler sampler, Sampler::create({.temperature = 0}));
        SpeculativeDecoder decoder(session_, sampler, speculation, true, std::span(answer_).first(n_tokens));
        ATLAS_TRY_VOID(decoder.start());
        const auto start = Clock::now();
        const double cpu = cpu_ms_now();
        for (size_t i = 0; i < n_tokens; ++i) {
            if (stop_.stop_requested()) return fail(ErrorCode::cancelled, "stopped after {} of {} tokens", i, n_tokens);
            ATLAS_TRY_VOID(decoder.next(static_cast<uint32_t>(n_tokens - 1 - i)));
        }
        row.ms = ms_since(start);
        row.cpu_ms = cpu_ms_now() - cpu;
        row.figures = decoder.figures();
        return {};
    }

    Session& session_;
    std::vector<TokenId> prompt_, answer_;
    const SpeculationWish& wish_;
    std::stop_token stop_;
};

// The model's own answer, chosen greedily.
Result<std::vector<TokenId>> own_answer(Session& session, const SpeculationWish& wish) {
    ATLAS_TRY_VOID(session.sync(wish.prompt, {.stop = wish.stop}));
    ATLAS_TRY(const Sampler sampler, Sampler::create({.temperature = 0}));
    ATLAS_TRY_VOID(session.start_choosing(sampler));
    std::vector<TokenId> answer;
    for (uint32_t i = 0; i < wish.n_tokens && !wish.stop.stop_requested(); ++i) {
        ATLAS_TRY(const Choice choice, session.next_choice(i + 1 < wish.n_tokens));
        answer.push_back(choice.token);
    }
    session.stop_choosing();
    if (wish.stop.stop_requested()) return fail(ErrorCode::cancelled, "stopped before anything was measured");
    return answer;
}

}  // namespace

uint32_t context_for(const SpeculationWish& wish) {
    const size_t answer = wish.reference.empty() ? wish.n_tokens : wish.reference.size();
    const size_t shares = wish.shares.empty() ? 0 : size_t{wish.depth} + 1 + wish.n_tokens;
    return static_cast<uint32_t>(std::max(shares, wish.prompt.empty() ? 0 : wish.prompt.size() + answer)) + 1;
}

Result<std::vector<SpeculationRow>> measure_speculation(const std::shared_ptr<const Model>& model, KvFormats kv,
                                                        const SpeculationWish& wish) {
    SessionShape shape;
    shape.n_ctx = context_for(wish);
    shape.max_outputs = wish.draft_max + 1;
    shape.kv_format = kv;
    ATLAS_TRY(const auto session, Session::create(model, shape));
    const uint32_t n_vocab = model->config().n_vocab;
    std::vector<SpeculationRow> rows;
    for (const double share : wish.shares) {
        Bench bench(*session, tokens_for(wish.depth + 1, n_vocab, 1), tokens_for(wish.n_tokens, n_vocab, 2), wish);
        const auto make = [&]() -> Result<std::vector<std::unique_ptr<Speculator>>> {
            std::vector<std::unique_ptr<Speculator>> who;
            who.push_back(std::make_unique<KnownAnswer>(bench.answer(), share));
            return who;
        };
        ATLAS_TRY(SpeculationRow row, bench.measure(make, fmt::format("{:.0f} %", 100 * share)));
        rows.push_back(std::move(row));
    }
    if (wish.prompt.empty()) return rows;
    std::vector<TokenId> answer = wish.reference;
    if (answer.empty()) {
        ATLAS_TRY(answer, own_answer(*session, wish));
    }
    Bench bench(*session, wish.prompt, std::move(answer), wish);
    for (const auto& [with_lookup, with_draft, who] :
         {std::tuple(true, false, "lookup"), {false, true, "draft"}, {true, true, "lookup and draft"}}) {
        if ((with_lookup && !wish.make_lookup) || (with_draft && wish.draft == nullptr)) continue;
        const auto make = [&, look = with_lookup,
                           draft = with_draft]() -> Result<std::vector<std::unique_ptr<Speculator>>> {
            std::vector<std::unique_ptr<Speculator>> all;
            if (look) {
                ATLAS_TRY(auto lookup, wish.make_lookup());
                all.push_back(std::move(lookup));
            }
            if (draft) all.push_back(std::make_unique<Borrowed>(*wish.draft));
            return all;
        };
        ATLAS_TRY(SpeculationRow row, bench.measure(make, who));
        rows.push_back(std::move(row));
    }
    return rows;
}

std::string markdown(const std::vector<SpeculationRow>& rows) {
    std::string out =
        "| draft tokens from | tokens/s plain | tokens/s | speed-up | by processor time | tokens per step | acceptance "
        "| verify ms per step | host ms per step |\n"
        "|---|---|---|---|---|---|---|---|---|\n";
    for (const SpeculationRow& row : rows) {
        const SpeculationFigures& f = row.figures;
        const double blocks = std::max<double>(1, double(f.n_blocks));
        out += fmt::format("| {} | {:.1f} | {:.1f} | {:.2f} | {:.2f} | {:.2f} | {:.0f} % of {} | {:.3f} | {:.3f} |\n",
                           row.who, double(f.n_tokens) * 1000 / row.plain_ms, double(f.n_tokens) * 1000 / row.ms,
                           row.speed_up(), row.cpu_speed_up(), f.tokens_per_step(), 100 * f.accepted_share(),
                           f.n_draft_tokens, f.verify_ms / blocks, row.host_ms_per_block());
    }
    return out;
}

}  // namespace atlas::bench
