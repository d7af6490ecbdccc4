#include "runtime/planner/choose.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/base/in_quotes.h"
#include "runtime/base/units.h"

namespace atlas {

namespace {

// The recipes that are offered when none is named: those with a measured loss that files are commonly published in.
constexpr auto kOffered =
    std::to_array<std::string_view>({"Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K"});
constexpr uint32_t kTypicalDepth = 4096;
constexpr double kDraftMustGain = 1.15;  // at an acceptance of 0.6; a smaller gain is not worth the draft's memory

std::string in_capitals(std::string_view text) {
    std::string upper(text);
    std::transform(upper.begin(), upper.end(), upper.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return upper;
}

bool is_native(const CatalogueModel& model, std::string_view quant) {
    return !model.native_quant.empty() && in_capitals(quant) == in_capitals(model.native_quant);
}

double third_below_three_percent(double share) { return share <= 0.03 ? share / 3 : share; }

// Calls `visit` with every quantization and every cache of it in which the request allows this model.
template <class Visit>
Result<void> each_way(const Catalogue& catalogue, const PlanRequest& request, const CatalogueModel& model,
                      Visit&& visit) {
    std::vector<std::string> quants{kOffered.begin(), kOffered.end()};
    if (!model.native_quant.empty()) quants = {model.native_quant};
    if (!request.quant.empty()) quants = {request.quant};
    if (request.file != nullptr) quants = {request.file->quant()};
    std::vector<KvFormats> caches{Format::f16, Format::q8_0};
    const CacheTraits traits = cache_traits(model.shape);
    std::erase_if(caches, [&](const KvFormats& kv) {
        return is_hurtful(kv_cost_of(catalogue, with_default_rotation(kv), traits));
    });
    if (request.kv) caches = {*request.kv};
    std::erase_if(caches, [&](const KvFormats& kv) { return !fits_heads(kv, model.shape.config); });
    std::optional<ModelFit> last;
    for (const std::string& quant : quants) {
        ATLAS_TRY(ModelFit fit, request.file != nullptr
                                    ? Result<ModelFit>(*request.file)
                                    : ModelFit::create(model.shape, quant, false, last ? &*last : nullptr));
        for (const KvFormats& kv : caches) ATLAS_TRY_VOID(visit(fit, kv));
        last = std::move(fit);
    }
    return {};
}

void add_speeds(const Catalogue& catalogue, const PlanRequest& request, const ModelFit& fit, PlanChoice& choice) {
    const auto at = [&](uint32_t depth) {
        return decode_speed(
            catalogue.speed, request.speed,
            decode_load(fit.model(), fit.size(), double(cache_read_bytes(fit.model().config, depth, choice.kv))));
    };
    choice.decode = at(std::min(choice.n_ctx, kTypicalDepth));
    choice.decode_full = at(choice.n_ctx);
    choice.prefill =
        prefill_speed(catalogue.speed, request.speed, fit.model(), fit.size(), std::min(choice.n_ctx, 512u));
}

// A token id must mean the same to draft and target; the padding of their tables may differ.
bool same_vocabulary(const ModelShape& a, const ModelShape& b) {
    const uint32_t larger = std::max(a.config.n_vocab, b.config.n_vocab),
                   smaller = std::min(a.config.n_vocab, b.config.n_vocab);
    return a.arch == b.arch && larger - smaller <= 1024;
}

Result<std::optional<DraftChoice>> draft_for(const Catalogue& catalogue, const PlanRequest& request,
                                             const PlanChoice& choice, const CatalogueModel& candidate,
                                             const ModelFit& target) {
    const std::string quant = choice.model->shape.config.n_embd == candidate.shape.config.n_embd ? "Q4_0" : "Q4_K_M";
    ATLAS_TRY(const ModelFit fit, ModelFit::create(candidate.shape, quant));
    const KvFormats kv = fits_heads(choice.kv, candidate.shape.config) ? choice.kv : KvFormats(Format::f16);
    const auto alone = [&](uint32_t n_ctx) { return target.at(n_ctx, choice.kv, request.n_sequences); };
    const bool stays = request.n_ctx > 0 || request.max_context;
    const auto both =
        longest_fitting(request.room, stays ? choice.n_ctx : std::min(choice.n_ctx, request.min_context), choice.n_ctx,
                        [&](uint32_t n_ctx) { return together(alone(n_ctx), fit.at(n_ctx, kv, request.n_sequences)); });
    if (!both) return std::optional<DraftChoice>();
    DraftChoice draft{.model = &candidate,
                      .quant = quant,
                      .n_ctx = both->n_ctx,
                      .kv = kv,
                      .bytes = both->total_bytes() - alone(both->n_ctx).total_bytes()};
    const uint32_t depth = std::min(draft.n_ctx, kTypicalDepth);
    const auto ms = [&](const ModelFit& of) {
        return decode_ms(catalogue.speed, request.speed,
                         decode_load(of.model(), of.size(), double(cache_read_bytes(of.model().config, depth, kv))));
    };
    draft.cost = ms(fit) / ms(target);
    draft.speedup_low = best_speculation(0.4, draft.cost).speedup;
    draft.speedup_middle = best_speculation(0.6, draft.cost).speedup;
    draft.speedup_high = best_speculation(0.8, draft.cost).speedup;
    return std::optional(draft);
}

// Shortens the context to make room for the draft.
void take_draft(const Catalogue& catalogue, const PlanRequest& request, const ModelFit& target, PlanChoice& choice,
                const DraftChoice& draft) {
    choice.draft = draft;
    choice.n_ctx = draft.n_ctx;
    choice.footprint = target.at(choice.n_ctx, choice.kv, request.n_sequences);
    add_speeds(catalogue, request, target, choice);
}

Result<void> add_draft(const Catalogue& catalogue, const PlanRequest& request, const ModelFit& target,
                       PlanChoice& choice) {
    if (request.draft != nullptr) {
        if (!same_vocabulary(request.draft->shape, choice.model->shape)) {
            return fail(ErrorCode::invalid_argument, "{} cannot draft for {}: they do not share a vocabulary",
                        request.draft->shape.id, choice.model->shape.id);
        }
        ATLAS_TRY(const auto draft, draft_for(catalogue, request, choice, *request.draft, target));
        if (draft) take_draft(catalogue, request, target, choice, *draft);
        return {};
    }
    if (!request.find_draft || request.n_sequences > 1)
        return {};  // a draft gains nothing where several texts share steps
    std::optional<DraftChoice> best;
    for (const CatalogueModel& candidate : catalogue.models) {
        if (candidate.shape.parameters * 4 > choice.model->shape.parameters ||
            !same_vocabulary(candidate.shape, choice.model->shape))
            continue;
        // Drafts trained for another purpose have a lower acceptance, so only relatives by name are considered.
        const auto family = [](const std::string& id) { return id.substr(0, id.find_last_of('-', id.find("b-"))); };
        if (family(candidate.shape.id) != family(choice.model->shape.id)) continue;
        ATLAS_TRY(const auto draft, draft_for(catalogue, request, choice, candidate, target));
        if (!draft || draft->speedup_middle < kDraftMustGain) continue;
        if (!best || draft->speedup_middle > best->speedup_middle) best = draft;
    }
    if (best) take_draft(catalogue, request, target, choice, *best);
    return {};
}

// A bare number of points would not say of what.
std::string points_text(const Score& score, Purpose purpose) {
    const std::string_view scale = purpose == Purpose::chat ? "MMLU" : "SWE-bench Verified";
    if (score.benchmark.empty())
        return fmt::format("{} of about {:.0f} expected for its size, no score on a ranked benchmark", scale,
                           score.points);
    if (score.from.empty()) return fmt::format("{:.1f} {}", score.points, score.benchmark);
    const std::string benchmark = score.benchmark == scale ? "" : score.benchmark + " ";
    return fmt::format("{} of about {:.0f} expected from {}{}", scale, score.points, benchmark, score.from);
}

std::string reason_of(const Catalogue& catalogue, const Score& score, const PlanRequest& request,
                      const PlanChoice& choice) {
    std::string text = points_text(score, request.purpose);
    if (const auto loss = catalogue.weight_loss.find(choice.quant);
        loss != catalogue.weight_loss.end() && loss->second.perplexity_increase / catalogue.f16_perplexity >= 0.0005) {
        text += fmt::format("; {} adds {:.1f} % perplexity", choice.quant,
                            100 * loss->second.perplexity_increase / catalogue.f16_perplexity);
    }
    if (is_native(*choice.model, choice.quant)) text += fmt::format("; {} is what it was trained in", choice.quant);
    text += fmt::format("; {} tokens of context with a {} cache", choice.n_ctx, name_of(choice.kv));
    const KvCost cost = kv_cost_of(catalogue, with_default_rotation(choice.kv), cache_traits(choice.model->shape));
    if (is_hurtful(cost))
        text += fmt::format(", which adds {:.1f} % perplexity: not advised", 100 * cost.perplexity_share);
    if (choice.draft) {
        text += fmt::format("; with {} as draft {:.1f} to {:.1f} times as fast", choice.draft->model->shape.id,
                            choice.draft->speedup_low, choice.draft->speedup_high);
    }
    if (!choice.runs)
        text += fmt::format("; this version cannot run the architecture {} yet", in_quotes(choice.model->shape.arch));
    return text;
}

// The best way to run one model, or nothing.
class Chooser {
  public:
    Chooser(const Catalogue& catalogue, const PlanRequest& request, const Scores& scores)
        : catalogue_(catalogue), request_(request), scores_(scores) {}

    Result<std::optional<PlanChoice>> best_of(const CatalogueModel& model) const {
        for (PlanRequest request = request_;; request.min_context /= 4) {
            request.min_context = std::max(request.min_context, kPageTokens);
            ATLAS_TRY(auto best, Chooser(catalogue_, request, scores_).best_with_least(model));
            if (best || !request.may_be_shorter || request.n_ctx > 0 || request.min_context == kPageTokens) return best;
        }
    }

    bool better(const PlanChoice& a, const PlanChoice& b) const { return rank(a) > rank(b); }

  private:
    Result<std::optional<PlanChoice>> best_with_least(const CatalogueModel& model) const {
        std::optional<PlanChoice> best;
        std::optional<ModelFit> its_fit;
        ATLAS_TRY_VOID(each_way(catalogue_, request_, model, [&](const ModelFit& fit, const KvFormats& kv) {
            const auto choice = try_one(model, fit, kv);
            if (choice && (!best || better(*choice, *best))) {
                best = choice;
                its_fit = fit;
            }
            return Result<void>();
        }));
        if (best) {
            ATLAS_TRY_VOID(add_draft(catalogue_, request_, *its_fit, *best));
            best->reason = reason_of(catalogue_, scores_.of(model, request_.purpose), request_, *best);
        }
        return best;
    }

    std::optional<PlanChoice> try_one(const CatalogueModel& model, const ModelFit& fit, const KvFormats& kv) const {
        const uint32_t native = model.shape.n_ctx();
        const uint32_t least = std::min(native, request_.n_ctx > 0 ? request_.n_ctx : request_.min_context);
        const uint32_t most = request_.n_ctx > 0 ? std::min(native, request_.n_ctx) : native;
        if (request_.n_ctx > native) return std::nullopt;
        const auto plan = fit.longest(request_.room, least, most, kv, request_.n_sequences);
        if (!plan) return std::nullopt;
        PlanChoice choice;
        choice.model = &model;
        choice.quant = fit.quant();
        choice.kv = kv;
        choice.n_sequences = request_.n_sequences;
        choice.n_ctx = plan->n_ctx;
        choice.footprint = *plan;
        choice.runs = can_run(model.shape);
        const Score score = scores_.of(model, request_.purpose);
        choice.estimated = score.estimated;
        const auto quality = quality_of(catalogue_, model, score, choice.quant, kv);
        if (!quality && request_.quant.empty() && request_.file == nullptr) return std::nullopt;
        choice.quality = quality.value_or(score.points);
        add_speeds(catalogue_, request_, fit, choice);
        return choice;
    }

    // A cache whose cost was not measured with such keys is worth no memory saved, only a longer context.
    std::array<double, 7> rank(const PlanChoice& c) const {
        const KvCost cache = kv_cost_of(catalogue_, with_default_rotation(c.kv), cache_traits(c.model->shape));
        const double speed = std::round(std::log(c.decode.likely) / std::log(1.1)), context = c.n_ctx;
        const double quality = std::round(c.quality * 2);
        const bool fast = c.useful() || request_.speed.unknown;
        const bool speed_counts_first = !fast && request_.model == nullptr;
        return {fast ? 1.0 : 0.0,
                speed_counts_first ? speed : quality,
                speed_counts_first     ? quality
                : request_.max_context ? context
                                       : speed,
                request_.max_context && !speed_counts_first ? speed : context,
                cache.measured && !cache.is_least ? 1.0 : 0.0,
                -double(c.total_bytes()),
                c.quality};
    }

    const Catalogue& catalogue_;
    const PlanRequest& request_;
    const Scores& scores_;
};

// The models to consider; a named one need not be in the catalogue (it may be a file's).
std::vector<const CatalogueModel*> candidates(const Catalogue& catalogue, const PlanRequest& request) {
    if (request.model != nullptr) return {request.model};
    std::vector<const CatalogueModel*> all;
    for (const CatalogueModel& model : catalogue.models) {
        if (request.all_architectures || can_run(model.shape)) all.push_back(&model);
    }
    return all;
}

}  // namespace

std::optional<double> quality_of(const Catalogue& catalogue, const CatalogueModel& model, const Score& score,
                                 std::string_view quant, const KvFormats& kv) {
    const bool native = is_native(model, quant);
    const auto loss = catalogue.weight_loss.find(in_capitals(quant));
    if (loss == catalogue.weight_loss.end() && !native) return std::nullopt;
    const double share =
        (native ? 0 : third_below_three_percent(loss->second.perplexity_increase / catalogue.f16_perplexity)) +
        third_below_three_percent(
            kv_cost_of(catalogue, with_default_rotation(kv), cache_traits(model.shape)).perplexity_share);
    return score.points * std::max(0.0, 1 - share);
}

Result<std::vector<PlanChoice>> choose(const Catalogue& catalogue, const PlanRequest& request, size_t most) {
    const Scores scores(catalogue);
    const Chooser chooser(catalogue, request, scores);
    std::vector<PlanChoice> choices;
    for (const CatalogueModel* model : candidates(catalogue, request)) {
        ATLAS_TRY(auto best, chooser.best_of(*model));
        if (best) choices.push_back(std::move(*best));
    }
    std::stable_sort(choices.begin(), choices.end(),
                     [&](const PlanChoice& a, const PlanChoice& b) { return chooser.better(a, b); });
    if (choices.size() > most) choices.resize(most);
    return choices;
}

Result<PlanChoice> smallest_need(const Catalogue& catalogue, const PlanRequest& request) {
    std::optional<PlanChoice> smallest;
    const CatalogueModel* longest = nullptr;
    for (const CatalogueModel* candidate : candidates(catalogue, request)) {
        const CatalogueModel& model = *candidate;
        if (longest == nullptr || model.shape.n_ctx() > longest->shape.n_ctx()) longest = &model;
        if (request.n_ctx > model.shape.n_ctx()) continue;
        const uint32_t least = request.may_be_shorter ? kPageTokens : request.min_context;
        const uint32_t n_ctx = std::min(model.shape.n_ctx(), request.n_ctx > 0 ? request.n_ctx : least);
        ATLAS_TRY_VOID(each_way(catalogue, request, model, [&](const ModelFit& fit, const KvFormats& kv) {
            PlanChoice choice;
            choice.model = &model;
            choice.quant = fit.quant();
            choice.kv = kv;
            choice.n_ctx = n_ctx;
            choice.footprint = fit.at(n_ctx, kv, request.n_sequences);
            if (!smallest || choice.total_bytes() < smallest->total_bytes()) smallest = choice;
            return Result<void>();
        }));
    }
    if (!smallest && longest != nullptr && request.n_ctx > longest->shape.n_ctx()) {
        return fail(ErrorCode::invalid_argument, "{} tokens of context: {} was made for {}{}", request.n_ctx,
                    longest->shape.id, longest->shape.n_ctx(),
                    request.model == nullptr ? ", and no other model here for more" : "");
    }
    if (!smallest)
        return fail(ErrorCode::invalid_argument,
                    "nothing in the catalogue allows this cache format: its blocks do not divide the heads");
    return *smallest;
}

std::vector<KvTrade> kv_trades(const Catalogue& catalogue, const ModelFit& fit, const Room& room,
                               uint32_t n_sequences) {
    constexpr auto kTrades = std::to_array<KvFormats>({{Format::f16, Format::f16},
                                                       {Format::q8_0, Format::q8_0},
                                                       {Format::q8_0, Format::q4_0},
                                                       {Format::q5_0, Format::q5_0},
                                                       {Format::q4_0, Format::q4_0}});
    const CacheTraits traits = cache_traits(fit.model());
    std::vector<KvTrade> trades;
    for (const KvFormats& kv : kTrades) {
        if (!fits_heads(kv, fit.model().config)) continue;
        const KvFormats rotated = with_default_rotation(kv);
        const auto longest = fit.longest(room, kPageTokens, fit.model().n_ctx(), kv, n_sequences);
        KvTrade trade{kv, longest ? longest->n_ctx : 0, 0, kv_cost_of(catalogue, rotated, traits),
                      kv_cost_of(catalogue, rotated, {true, traits.key_bias_left})};
        const uint64_t far = cache_bytes(fit.model().config, 1 << 20, kv, 512),
                       near = cache_bytes(fit.model().config, 1 << 19, kv, 512);
        trade.bytes_per_token = double(far - near) / (1 << 19);
        trades.push_back(trade);
    }
    return trades;
}

}  // namespace atlas
