#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/base/units.h"
#include "tools/plan.h"

namespace atlas::tools {

namespace {

using nlohmann::ordered_json;

struct Part {
    char letter;
    std::string_view name;
    uint64_t bytes;
};

std::vector<Part> parts_of(const PlanChoice& choice) {
    const Footprint& f = choice.footprint;
    return {{'W', "weights", f.weights_bytes},
            {'K', "KV cache", f.kv_bytes},
            {'S', "scratch", f.working_bytes()},
            {'D', "draft", choice.draft ? choice.draft->bytes : 0}};
}

std::string gib(uint64_t bytes) { return fmt::format("{:.1f}", double(bytes) / double(kGiB)); }

// "32k" for whole multiples of 1024, else the number.
std::string context_text(uint32_t n_ctx) { return n_ctx >= 1024 ? fmt::format("{}k", n_ctx / 1024) : fmt::format("{}", n_ctx); }

}  // namespace

std::string command_of(const PlanChoice& choice, const std::string& file) {
    const std::string context = fmt::format("--ctx {} --kv {}", choice.n_ctx, name_of(choice.kv));
    if (!file.empty()) return fmt::format("atlas-vk chat -m {} {}", file, context);
    if (choice.model->gguf.empty()) return fmt::format("no published GGUF of it is known; with a file: atlas-vk chat -m FILE {}", context);
    return fmt::format("atlas-vk pull hf:{}:{} --name {} && atlas-vk chat -m {} {}", choice.model->gguf, choice.quant, choice.model->shape.id,
                       choice.model->shape.id, context);
}

std::string memory_picture(const PlanChoice& choice, const PlanTarget& target, size_t width) {
    const uint64_t total = std::max(target.total_bytes, choice.total_bytes());
    std::string bar, legend;
    uint64_t used = 0;
    for (const Part& part : parts_of(choice)) {
        if (part.bytes == 0) continue;
        used += part.bytes;
        // Every part is seen, however small; ends are rounded, so that the bar is as long as the card.
        const size_t end = std::max(bar.size() + 1, static_cast<size_t>(double(width) * double(used) / double(total) + 0.5));
        bar.resize(std::min(width, end), part.letter);
        legend += fmt::format("{}{} {} {}", legend.empty() ? "" : "   ", part.letter, part.name, bytes_text(part.bytes));
    }
    bar.resize(width, '.');
    return fmt::format("  [{}]\n  {}   . free {}\n", bar, legend, bytes_text(total - used));
}

void print_choices(const std::vector<PlanChoice>& choices, const PlanTarget& target, const PlanPrices& prices, const std::string& file) {
    fmt::print("{}: {} in all, {} for a model{}\n\n", target.name, bytes_text(target.total_bytes), bytes_text(target.available_bytes),
               target.note.empty() ? "" : fmt::format(" ({})", target.note));
    fmt::print("   {:<34} {:<8} {:>8} {:<10} {:>7} {:>12} {:>12}\n", "model", "weights", "context", "cache", "GiB", "tokens/s", "prompt/s");
    for (size_t i = 0; i < choices.size(); ++i) {
        const PlanChoice& c = choices[i];
        fmt::print("{:>2} {:<34} {:<8} {:>8} {:<10} {:>7} {:>12} {:>12}\n", i + 1, c.model->shape.id, c.quant, context_text(c.n_ctx), name_of(c.kv),
                   gib(c.total_bytes()), fmt::format("{:.0f} to {:.0f}", c.decode.low, c.decode.high),
                   fmt::format("{:.0f} to {:.0f}", c.prefill.low, c.prefill.high));
    }
    const PlanChoice& best = choices.front();
    fmt::print("\nBest: {}\n  {}.\n", best.model->shape.id, best.reason);
    if (best.decode_full.middle() < 0.9 * best.decode.middle()) {
        fmt::print("  With the context full: {:.0f} to {:.0f} tokens/s.\n", best.decode_full.low, best.decode_full.high);
    }
    if (!best.runs) fmt::print("  This version cannot run the architecture '{}' yet.\n", best.model->shape.arch);
    if (best.draft) {
        fmt::print("  Draft {} {}: {:.2f}, {:.2f}, {:.2f} times faster when 40, 60, 80 % of its tokens are accepted.\n",
                   best.draft->model->shape.id, best.draft->quant, best.draft->speedup_low, best.draft->speedup_middle, best.draft->speedup_high);
    }
    if (prices.usd_per_kwh > 0 && target.watts > 0) {
        const Energy energy = energy_of(target.watts, best.decode.middle(), prices.usd_per_kwh);
        fmt::print("  Energy at {:.0f} W: {:.1f} J a token, ${:.2f} a million tokens at ${:.2f}/kWh", target.watts, energy.joules_per_token,
                   energy.usd_per_million_tokens, prices.usd_per_kwh);
        if (prices.api_usd_per_million > 0) fmt::print("; a paid API at ${:.2f}", prices.api_usd_per_million);
        fmt::print(".\n");
    }
    fmt::print("\n{}\n", memory_picture(best, target, 64));
    fmt::print("  {}\n", command_of(best, file));
}

void print_trades(const std::vector<KvTrade>& trades, const PlanChoice& choice) {
    if (trades.empty()) return;
    fmt::print("\nCache formats of {} {}:\n   {:<10} {:>14} {:>16} {:>22}\n", choice.model->shape.id, choice.quant, "format", "KiB a token",
               "largest context", "added perplexity");
    for (const KvTrade& trade : trades) {
        fmt::print("   {:<10} {:>14.1f} {:>16} {:>22}\n", name_of(trade.kv), trade.bytes_per_token / 1024, trade.n_ctx,
                   trade.perplexity_increase ? fmt::format("{:.2f} %", 100 * *trade.perplexity_increase) : "not known");
    }
}

std::string choices_json(const std::vector<PlanChoice>& choices, const std::vector<KvTrade>& trades, const PlanTarget& target,
                         const SpeedFactors& speed, const PlanPrices& prices, const std::string& file) {
    ordered_json out;
    out["device"] = target.name;
    out["total_bytes"] = target.total_bytes;
    out["available_bytes"] = target.available_bytes;
    out["speed_factors"] = {{"bandwidth_gbps", speed.bandwidth_gbps}, {"efficiency", speed.efficiency}, {"ms_per_layer", speed.ms_per_layer},
                            {"calibrated", speed.calibrated},         {"estimated_class", speed.estimated},
                            {"source", speed.source}};
    out["choices"] = ordered_json::array();
    const auto range = [](const Range& r) { return ordered_json{{"low", r.low}, {"high", r.high}}; };
    for (const PlanChoice& c : choices) {
        ordered_json row = {{"model", c.model->shape.id},
                            {"quant", c.quant},
                            {"context_tokens", c.n_ctx},
                            {"kv", name_of(c.kv)},
                            {"draft", c.draft ? ordered_json(c.draft->model->shape.id) : ordered_json(nullptr)},
                            {"weights_bytes", c.footprint.weights_bytes},
                            {"kv_bytes", c.footprint.kv_bytes},
                            {"scratch_bytes", c.footprint.working_bytes()},
                            {"draft_bytes", c.draft ? c.draft->bytes : 0},
                            {"total_bytes", c.total_bytes()},
                            {"decode_tokens_per_s", range(c.decode)},
                            {"decode_tokens_per_s_full", range(c.decode_full)},
                            {"prefill_tokens_per_s", range(c.prefill)},
                            {"quality", c.quality},
                            {"quality_estimated", c.estimated},
                            {"runs", c.runs},
                            {"licence", c.model->licence},
                            {"reason", c.reason},
                            {"command", command_of(c, file)}};
        if (c.draft) row["draft_speedup"] = {{"0.4", c.draft->speedup_low}, {"0.6", c.draft->speedup_middle}, {"0.8", c.draft->speedup_high}};
        if (prices.usd_per_kwh > 0 && target.watts > 0) {
            const Energy energy = energy_of(target.watts, c.decode.middle(), prices.usd_per_kwh);
            row["joules_per_token"] = energy.joules_per_token;
            row["usd_per_million_tokens"] = energy.usd_per_million_tokens;
        }
        out["choices"].push_back(std::move(row));
    }
    out["kv_trades"] = ordered_json::array();
    for (const KvTrade& trade : trades) {
        out["kv_trades"].push_back({{"kv", name_of(trade.kv)}, {"bytes_per_token", trade.bytes_per_token}, {"largest_context_tokens", trade.n_ctx}});
    }
    return out.dump(2);
}

}  // namespace atlas::tools
