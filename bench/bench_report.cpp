#include "bench/bench_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "bench/samples.h"
#include "bench/step_profile.h"
#include "commit.h"
#include "runtime/base/in_quotes.h"
#include "runtime/base/units.h"

namespace atlas::bench {

namespace {

using nlohmann::ordered_json;

void speed_table(std::string& text, std::string_view title, const std::vector<SpeedRow>& rows) {
    if (rows.empty()) return;
    text += fmt::format("\n| {} tokens | at depth | tokens/s | spread |\n|---:|---:|---:|---:|\n", title);
    for (const SpeedRow& row : rows) {
        text += fmt::format("| {} | {} | {:.2f} | {:.1f} % |\n", row.n_tokens, row.depth, median(row.samples),
                            100 * spread(row.samples));
    }
}

void width_table(std::string& text, std::string_view title, const std::vector<WidthRow>& rows) {
    if (rows.empty()) return;
    const double one = median(rows.front().samples);
    text += fmt::format("\n| {} | ms | of {} | tokens/s | spread |\n|---:|---:|---:|---:|---:|\n", title,
                        rows.front().width);
    for (const WidthRow& row : rows) {
        const double ms = median(row.samples);
        text += fmt::format("| {} | {:.3f} | {:.2f} | {:.1f} | {:.1f} % |\n", row.width, ms, ms / one,
                            row.width / ms * 1e3, 100 * spread(row.samples));
    }
}

ordered_json speeds_json(const std::vector<SpeedRow>& rows) {
    ordered_json json = ordered_json::array();
    for (const SpeedRow& row : rows) {
        json.push_back({{"n_tokens", row.n_tokens},
                        {"depth", row.depth},
                        {"tokens_per_s", median(row.samples)},
                        {"spread", spread(row.samples)},
                        {"samples", row.samples}});
    }
    return json;
}

ordered_json widths_json(const std::vector<WidthRow>& rows) {
    ordered_json json = ordered_json::array();
    for (const WidthRow& row : rows) {
        json.push_back({{"columns", row.width},
                        {"ms", median(row.samples)},
                        {"depth", row.depth},
                        {"spread", spread(row.samples)},
                        {"samples", row.samples}});
    }
    return json;
}

void csv_rows(std::string& text, std::string_view kind, std::string_view unit, const auto& rows, auto width_of) {
    for (const auto& row : rows) {
        text += fmt::format("{},{},{},{},{},{},{}\n", kind, width_of(row), row.depth, unit, median(row.samples),
                            spread(row.samples), fmt::join(row.samples, " "));
    }
}

}  // namespace

std::string markdown(const BenchResult& r) {
    std::string text =
        fmt::format("**{}**, KV {}, {} of weights\n{}, {}; commit {}\n", printable(r.model, 200), r.kv_type,
                    bytes_text(r.weights_bytes), printable(r.device, 256), printable(r.driver, 256), r.commit);
    if (r.limits.copy_gb_per_s > 0) {
        text += fmt::format(
            "measured limits: copy {:.1f} GB/s (read and written), read {:.1f} GB/s, f32 {:.2f} TFLOP/s, matrices {}\n",
            r.limits.copy_gb_per_s, r.limits.read_gb_per_s, r.limits.fma_tflop_per_s,
            r.limits.matrix_tflop_per_s > 0 ? fmt::format("{:.2f} TFLOP/s", r.limits.matrix_tflop_per_s) : "none");
    }
    text += r.checked ? "every kernel was checked against the CPU before it was timed\n"
                      : "times only: no result was checked\n";
    for (const std::string& name : r.rejected)
        text += fmt::format("failed its self-test, or the test did not end: it was not used: {}\n", name);
    speed_table(text, "prompt", r.prefill);
    speed_table(text, "answer", r.decode);
    width_table(text, "verify columns", r.verify);
    width_table(text, "sequences", r.batch);
    if (!r.kernels.empty()) {
        text += "\n| product | kernel | GB/s | TFLOP/s | of the limit |\n|---|---|---:|---:|---:|\n";
        for (const KernelRow& row : r.kernels) {
            text += fmt::format("| {} | {} | {:.1f} | {:.3f} | {} |\n", row.name, row.variant, row.gb_per_s,
                                row.tflop_per_s,
                                row.share_of_limit > 0 ? fmt::format("{:.0f} %", 100 * row.share_of_limit) : "-");
        }
    }
    text += profile_tables(r.profile);
    if (r.cancelled) text += "\nstopped before the end\n";
    return text;
}

std::string csv(const BenchResult& r) {
    std::string text = "kind,n,depth,unit,median,spread,samples\n";
    csv_rows(text, "prefill", "tokens/s", r.prefill, [](const SpeedRow& row) { return row.n_tokens; });
    csv_rows(text, "decode", "tokens/s", r.decode, [](const SpeedRow& row) { return row.n_tokens; });
    csv_rows(text, "verify", "ms", r.verify, [](const WidthRow& row) { return row.width; });
    csv_rows(text, "batch", "ms", r.batch, [](const WidthRow& row) { return row.width; });
    for (const KernelRow& row : r.kernels)
        text += fmt::format("kernel,\"{} {}\",,GB/s,{},,\n", row.name, row.variant, row.gb_per_s);
    for (const ProfileRow& row : r.profile) {
        text += fmt::format("profile,{},{},\"{}\" ms,{},,\n", row.columns, row.depth, row.label, row.ms);
    }
    return text;
}

ordered_json to_json(const BenchResult& r) {
    ordered_json kernels = ordered_json::array();
    for (const KernelRow& row : r.kernels) {
        kernels.push_back({{"name", row.name},
                           {"variant", row.variant},
                           {"gb_per_s", row.gb_per_s},
                           {"tflop_per_s", row.tflop_per_s},
                           {"share_of_limit", row.share_of_limit}});
    }
    ordered_json profile = ordered_json::array();
    for (const ProfileRow& row : r.profile) {
        profile.push_back({{"columns", row.columns},
                           {"depth", row.depth},
                           {"label", row.label},
                           {"dispatches", row.dispatches},
                           {"ms", row.ms}});
    }
    return {{"schema", 1},
            {"device", r.device},
            {"driver", r.driver},
            {"model", r.model},
            {"quantization", r.quantization},
            {"kv_type", r.kv_type},
            {"context", r.context},
            {"weights_bytes", r.weights_bytes},
            {"commit", r.commit},
            {"version", r.version},
            {"checked", r.checked},
            {"rejected_kernels", r.rejected},
            {"cancelled", r.cancelled},
            {"depth_filled_by", r.depth_filled_by},
            {"decoded_by", r.decoded_by},
            {"limits",
             {{"copy_gb_per_s", r.limits.copy_gb_per_s},
              {"read_gb_per_s", r.limits.read_gb_per_s},
              {"fma_tflop_per_s", r.limits.fma_tflop_per_s},
              {"matrix_tflop_per_s", r.limits.matrix_tflop_per_s}}},
            {"prefill", speeds_json(r.prefill)},
            {"decode", speeds_json(r.decode)},
            {"verify", widths_json(r.verify)},
            {"batch", widths_json(r.batch)},
            {"kernels", kernels},
            {"profile", profile}};
}

std::string built_from_commit() { return kCommit; }

}  // namespace atlas::bench
