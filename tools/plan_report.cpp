#include "tools/plan_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <nlohmann/json.hpp>

#include "runtime/base/in_quotes.h"
#include "runtime/base/json_text.h"
#include "runtime/base/units.h"
#include "tools/terminal_text.h"

namespace atlas::tools {

namespace {

using nlohmann::ordered_json;

constexpr size_t kColumns = 80;

struct Part {
    char letter;
    std::string_view name;
    uint64_t bytes;
};

std::vector<Part> parts_of(const PlanChoice& choice) {
    const MemoryPlan& f = choice.footprint;
    return {{'W', "weights", f.weights_bytes},
            {'K', "KV cache", f.kv_bytes},
            {'S', "scratch", f.working_bytes()},
            {'D', "draft", choice.draft ? choice.draft->bytes : 0}};
}

std::string speed_text(const Range& speed, bool unknown) {
    if (unknown) return "unknown";
    const int decimals = speed.low >= 10 ? 0 : speed.low >= 1 ? 1 : 2;
    const std::string low = fmt::format("{:.{}f}", speed.low, decimals),
                      high = fmt::format("{:.{}f}", speed.high, decimals);
    return low == high ? low : low + "-" + high;
}

// Shell lines, indented; a command that does not fit on its line continues after a backslash.
std::string command_lines(const std::vector<std::string>& words) {
    std::vector<std::string> lines;
    for (const std::string& word : words) {
        const bool starts = lines.empty() || lines.back().ends_with("&&");
        if (!starts && lines.back().size() + word.size() < 77) {
            lines.back() += " " + word;
            continue;
        }
        if (!starts) lines.back() += " \\";
        lines.push_back((starts ? "  " : "      ") + word);
    }
    return fmt::format("{}\n", fmt::join(lines, "\n"));
}

// Quoted for a shell; control characters, which could move the cursor, become escapes of bash, zsh and ksh.
std::string quoted(const std::string& word) {
    const auto is_plain = [](unsigned char c) {
        return std::isalnum(c) || (c != 0 && std::strchr("/._-+:@%=", c) != nullptr);
    };
    if (!word.empty() && std::all_of(word.begin(), word.end(), is_plain)) return word;
    const bool escape = printable(word, word.size()) != word;
    std::string text = escape ? "$'" : "'";
    for (const char c : word) {
        const auto byte = static_cast<unsigned char>(c);
        if (escape && (byte < 0x20 || byte >= 0x7F))
            text += fmt::format("\\x{:02x}", byte);
        else if (escape && (c == '\\' || c == '\''))
            text += std::string("\\") + c;
        else
            text += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    return text + "'";
}

std::string gib(uint64_t bytes) { return fmt::format("{:.1f}", double(bytes) / double(kGiB)); }

// "32k" for whole multiples of 1024, else the number.
std::string context_text(uint32_t n_ctx) {
    return n_ctx >= 1024 ? fmt::format("{}k", n_ctx / 1024) : fmt::format("{}", n_ctx);
}

}  // namespace

std::string wrapped(const std::string& text, size_t indent) {
    std::string lines, line;
    size_t at = 0;
    while (at < text.size()) {
        size_t end = text.find(' ', at + 1);
        if (end == std::string::npos) end = text.size();
        const std::string word = text.substr(at, end - at);  // with the space before it
        if (!line.empty() && line.size() + word.size() > kColumns) {
            lines += line + "\n";
            line = std::string(indent, ' ') + word.substr(word.find_first_not_of(' '));
        } else {
            line += word;
        }
        at = end;
    }
    return lines + line + "\n";
}

std::vector<std::string> command_of(const PlanChoice& choice, const std::string& file) {
    if (!choice.runs || (file.empty() && choice.model->gguf.empty())) return {};
    std::vector<std::string> words;
    const auto pull = [&](const CatalogueModel& model, const std::string& quant) {
        words.push_back(fmt::format("atlas-vk pull hf:{}:{}", model.gguf, quant));
        words.push_back(fmt::format("--name {} &&", quoted(model.shape.id)));
    };
    const bool drafts = choice.draft && !choice.draft->model->gguf.empty();
    if (file.empty()) pull(*choice.model, choice.quant);
    if (drafts) pull(*choice.draft->model, choice.draft->quant);
    const std::string many =
        choice.n_sequences > 1 ? fmt::format(" --prompts FILE --parallel {}", choice.n_sequences) : "";
    words.push_back(fmt::format("atlas-vk {} -m {}{}", many.empty() ? "chat" : "run",
                                quoted(file.empty() ? choice.model->shape.id : file), many));
    words.push_back(fmt::format("--ctx {} --kv {}{}", choice.n_ctx, name_of(choice.kv),
                                drafts ? " --draft " + quoted(choice.draft->model->shape.id) : ""));
    return words;
}

std::string memory_picture(const PlanChoice& choice, const PlanTarget& target, size_t width) {
    const uint64_t total = std::max(target.total_bytes, choice.total_bytes());
    std::string bar, legend;
    size_t line_begin = 0;
    const auto add = [&](const std::string& entry) {
        const bool is_full = legend.size() - line_begin + entry.size() > kColumns - 5;
        if (is_full) line_begin = legend.size() + 1;
        legend += (legend.empty() ? "" : is_full ? "\n  " : "   ") + entry;
    };
    uint64_t used = 0;
    for (const Part& part : parts_of(choice)) {
        if (part.bytes == 0) continue;
        used += part.bytes;
        // Every part is visible, however small; ends are rounded, so that the whole bar stands for the card.
        const size_t end =
            std::max(bar.size() + 1, static_cast<size_t>(double(width) * double(used) / double(total) + 0.5));
        bar.resize(std::min(width, end), part.letter);
        add(fmt::format("{} {} {}", part.letter, part.name, bytes_text(part.bytes)));
    }
    // What no model gets comes last: it stays for the desktop, the driver and --keep-free.
    const uint64_t left = total - used;
    const uint64_t kept = std::min(left, total - std::min(total, target.available_bytes));
    const auto kept_width = static_cast<size_t>(double(width) * double(kept) / double(total) + 0.5);
    bar.resize(std::max(bar.size(), width - kept_width), '.');
    bar.resize(width, '-');
    if (left > kept) add(fmt::format(". unused {}", bytes_text(left - kept)));
    if (kept > 0) add(fmt::format("- kept free {}", bytes_text(kept)));
    return fmt::format("  [{}]\n  {}\n", bar, legend);
}

namespace {

void print_best(const PlanChoice& best, bool unknown, bool is_named) {
    const bool slow = !unknown && !best.useful();
    const std::string name = fmt::format("{} {}", best.model->shape.id, best.quant);
    print_text("\n{}", wrapped(!slow      ? "Best: " + name
                               : is_named ? "Too slow to be of use: " + name
                                          : fmt::format("No model of the catalogue is fast enough here; the fastest: "
                                                        "{}, {} tokens/s",
                                                        name, speed_text(best.decode, false)),
                               2));
    print_text(wrapped("  " + best.reason + ".", 2));
    if (slow) {
        print_text("{}",
                   wrapped(fmt::format("  Below {:.0f} tokens/s an answer of 300 tokens takes over {:.0f} seconds.",
                                       kUsefulTokensPerS, 300 / kUsefulTokensPerS),
                           2));
    }
}

// The model's id, or where that is too long an alias; else as much of the id as fits.
std::string name_within(const ModelShape& model, size_t most) {
    if (model.id.size() <= most) return model.id;
    for (const std::string& alias : model.aliases)
        if (alias.size() <= most) return alias;
    return model.id.substr(0, most - 2) + "..";
}

}  // namespace

void print_choices(const std::vector<PlanChoice>& choices, const Chosen& chosen, const PlanPrices& prices,
                   const std::string& file, bool is_named) {
    const PlanTarget& target = chosen.target;
    const bool unknown = chosen.speed.unknown;
    print_text("{}\n", wrapped(fmt::format("{}: {} in all, {} for a model{}", target.name,
                                           bytes_text(target.total_bytes), bytes_text(target.available_bytes),
                                           target.note.empty() ? "" : fmt::format(" ({})", target.note)),
                               2));
    size_t widest = 0, cache = 5;
    for (const PlanChoice& c : choices) cache = std::max(cache, name_of(c.kv).size());
    std::vector<std::string> names;
    for (const PlanChoice& c : choices) {
        constexpr size_t kOtherColumns = 45;  // but that of the cache; 80 in all
        names.push_back(name_within(c.model->shape, 80 - kOtherColumns - cache - 1) + (c.runs ? "" : "*"));
        widest = std::max(widest, names.back().size());
    }
    print_text("   {:<{}} {:<6} {:>4} {:<{}} {:>4} {:>9} {:>9}\n", "model", widest, "quant", "ctx", "cache", cache,
               "GiB", "tokens/s", "prompt/s");
    for (size_t i = 0; i < choices.size(); ++i) {
        const PlanChoice& c = choices[i];
        print_text("{:>2} {:<{}} {:<6} {:>4} {:<{}} {:>4} {:>9} {:>9}\n", i + 1, names[i], widest, c.quant,
                   context_text(c.n_ctx), name_of(c.kv), cache, gib(c.total_bytes()), speed_text(c.decode, unknown),
                   speed_text(c.prefill, unknown));
    }
    const bool all_run = std::all_of(choices.begin(), choices.end(), [](const PlanChoice& c) { return c.runs; });
    if (!all_run) print_text(" * this version cannot run its architecture yet\n");
    const PlanChoice& best = choices.front();
    print_best(best, unknown, is_named);
    if (!unknown && best.decode_full.likely < 0.9 * best.decode.likely) {
        print_text("  With the context full: {} tokens/s.\n", speed_text(best.decode_full, false));
    }
    if (best.draft) {
        print_text(
            "{}",
            wrapped(
                fmt::format(
                    "  Draft {} {}: {:.2f}, {:.2f}, {:.2f} times as fast when 40, 60, 80 % of its tokens are accepted.",
                    best.draft->model->shape.id, best.draft->quant, best.draft->speedup_low, best.draft->speedup_middle,
                    best.draft->speedup_high),
                2));
    }
    const bool energy_known = prices.usd_per_kwh > 0 && target.watts > 0 && !unknown;
    if (prices.usd_per_kwh > 0 && !energy_known)
        print_text("  No energy: the watts or the speed of this card are not known.\n");
    if (energy_known) {
        const Energy energy = energy_of(target.watts, best.decode.likely, prices.usd_per_kwh);
        const std::string api =
            prices.api_usd_per_million > 0 ? fmt::format("; a paid API at ${:.2f}", prices.api_usd_per_million) : "";
        print_text(
            "{}",
            wrapped(fmt::format("  Energy at {:.0f} W: {:.1f} J a token, ${:.2f} a million tokens at ${:.2f}/kWh{}.",
                                target.watts, energy.joules_per_token, energy.usd_per_million_tokens,
                                prices.usd_per_kwh, api),
                    2));
    }
    print_text("\n{}\n", memory_picture(best, target, 64));
    const auto command = command_of(best, file);
    if (!command.empty())
        print_text(command_lines(command));
    else if (!best.runs)
        print_text("  No command: this version cannot run the architecture {} yet.\n",
                   in_quotes(best.model->shape.arch));
    else
        print_text("  No published GGUF of it is known; with a file: atlas-vk plan --file FILE\n");
}

// The perplexity that a cache adds, if it was measured, and whether the cache is known to hurt.
std::string added_perplexity(const KvTrade& trade) {
    const KvCost& cost = trade.cost;
    const std::string share = fmt::format("{:.2f} %", 100 * cost.perplexity_share);
    if (is_hurtful(cost))
        return !cost.measured ? "not advised" : fmt::format("not advised: {}{}", cost.is_least ? ">" : "", share);
    if (cost.source.empty()) return "none";
    return cost.measured && !cost.is_least ? share : "not measured";
}

void print_trades(const std::vector<KvTrade>& trades, const PlanChoice& choice) {
    if (trades.empty()) return;
    print_text("\nCache formats of {} {}:\n   {:<10} {:>12} {:>13} {:>16} {:>20}\n", choice.model->shape.id,
               choice.quant, "format", "KiB a token", "tokens a GiB", "largest context", "added perplexity");
    for (const KvTrade& trade : trades) {
        print_text("   {:<10} {:>12.1f} {:>13.0f} {:>16} {:>20}\n", name_of(trade.kv), trade.bytes_per_token / 1024,
                   double(kGiB) / trade.bytes_per_token, trade.n_ctx, added_perplexity(trade));
    }
    print_text("   Added perplexity, as measured on the model whose keys are most like these:\n");
    std::vector<std::pair<std::string, std::string>> by_source;  // source, names
    std::string fitted;
    for (const KvTrade& trade : trades) {
        const bool is_shown = trade.cost.measured && (is_hurtful(trade.cost) || !trade.cost.is_least);
        if (is_shown && !trade.cost.source.empty()) {
            const bool known = !by_source.empty() && by_source.back().first == trade.cost.source;
            if (known)
                by_source.back().second += ", " + name_of(trade.kv);
            else
                by_source.emplace_back(trade.cost.source, name_of(trade.kv));
        }
        if (trade.cost_fitted.measured && !trade.cost_fitted.is_least &&
            trade.cost_fitted.perplexity_share < trade.cost.perplexity_share) {
            fitted += fmt::format("{}{} {:.2f} %", fitted.empty() ? "" : ", ", name_of(trade.kv),
                                  100 * trade.cost_fitted.perplexity_share);
        }
    }
    for (const auto& [source, names] : by_source) print_text(wrapped(fmt::format("     {}: {}", names, source), 7));
    if (!fitted.empty())
        print_text(wrapped(fmt::format("   Of a file written again by atlas-vk fit-cache: {}", fitted), 5));
}

namespace {

ordered_json trade_json(const KvTrade& trade) {
    ordered_json row = {
        {"kv", name_of(trade.kv)}, {"bytes_per_token", trade.bytes_per_token}, {"largest_context_tokens", trade.n_ctx}};
    const auto share = [](const KvCost& cost) {
        return cost.measured && !cost.is_least ? ordered_json(cost.perplexity_share) : ordered_json(nullptr);
    };
    const bool is_least = trade.cost.measured && trade.cost.is_least && is_hurtful(trade.cost);
    row["perplexity_increase"] = share(trade.cost);
    row["perplexity_increase_at_least"] = is_least ? ordered_json(trade.cost.perplexity_share) : ordered_json(nullptr);
    const bool is_shown = !trade.cost.source.empty() && (is_least || !share(trade.cost).is_null());
    row["perplexity_source"] = is_shown ? ordered_json(trade.cost.source) : ordered_json(nullptr);
    row["perplexity_increase_fitted"] = share(trade.cost_fitted);
    return row;
}

}  // namespace

std::string choices_json(const std::vector<PlanChoice>& choices, const std::vector<KvTrade>& trades,
                         const Chosen& chosen, const PlanPrices& prices, const std::string& file) {
    const PlanTarget& target = chosen.target;
    const SpeedFactors& speed = chosen.speed;
    ordered_json out;
    out["device"] = target.name;
    out["total_bytes"] = target.total_bytes;
    out["available_bytes"] = target.available_bytes;
    out["speed_factors"] = {{"bandwidth_gbps", speed.bandwidth_gbps},
                            {"efficiency", speed.efficiency},
                            {"ms_per_layer", speed.ms_per_layer},
                            {"calibrated", speed.calibrated},
                            {"estimated_class", speed.estimated},
                            {"unknown", speed.unknown},
                            {"source", speed.source}};
    out["choices"] = ordered_json::array();
    const auto range = [&](const Range& r) {
        return speed.unknown ? ordered_json(nullptr)
                             : ordered_json{{"low", r.low}, {"likely", r.likely}, {"high", r.high}};
    };
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
                            {"useful_speed", speed.unknown ? ordered_json(nullptr) : ordered_json(c.useful())},
                            {"quality", c.quality},
                            {"quality_estimated", c.estimated},
                            {"runs", c.runs},
                            {"licence", c.model->licence},
                            {"reason", c.reason},
                            {"command", c.runs ? ordered_json(fmt::format("{}", fmt::join(command_of(c, file), " ")))
                                               : ordered_json(nullptr)}};
        if (c.draft)
            row["draft_speedup"] = {
                {"0.4", c.draft->speedup_low}, {"0.6", c.draft->speedup_middle}, {"0.8", c.draft->speedup_high}};
        if (prices.usd_per_kwh > 0 && target.watts > 0 && !speed.unknown) {
            const Energy energy = energy_of(target.watts, c.decode.likely, prices.usd_per_kwh);
            row["joules_per_token"] = energy.joules_per_token;
            row["usd_per_million_tokens"] = energy.usd_per_million_tokens;
            if (prices.api_usd_per_million > 0) row["api_usd_per_million_tokens"] = prices.api_usd_per_million;
        }
        out["choices"].push_back(std::move(row));
    }
    out["kv_trades"] = ordered_json::array();
    for (const KvTrade& trade : trades) {
        out["kv_trades"].push_back(trade_json(trade));
    }
    return json_text(out, 2);
}

}  // namespace atlas::tools
