#include "bench/step_profile.h"

#include <algorithm>

#include "bench/samples.h"
#include "bench/timed_step.h"
#include "runtime/vk/profiler.h"

namespace atlas::bench {

namespace {

Result<std::vector<ProfileRow>> profile_step(VkBackend& backend, TimedStep& runner, const StepShape& shape,
                                             uint32_t repetitions) {
    ATLAS_TRY_VOID(runner.prepare(shape));
    std::vector<vk::LabelTime> labels;
    std::vector<std::vector<double>> samples;
    for (uint32_t i = 0; i <= repetitions; ++i) {
        ATLAS_TRY_VOID(runner.run());
        ATLAS_TRY(labels, backend.label_times(runner.program()));
        if (i == 0) continue;  // the first run warms caches
        samples.resize(labels.size());
        for (size_t l = 0; l < labels.size(); ++l) samples[l].push_back(labels[l].ms);
    }
    std::vector<ProfileRow> rows;
    for (size_t l = 0; l < labels.size(); ++l) {
        rows.push_back({shape.tokens_per_seq, shape.depth, labels[l].label, labels[l].dispatches, median(samples[l])});
    }
    std::ranges::stable_sort(rows, std::greater{}, &ProfileRow::ms);
    return rows;
}

}  // namespace

Result<std::vector<ProfileRow>> profile_steps(VkBackend& backend, const Model& model, const BenchOptions& options) {
    std::vector<ProfileRow> rows;
    if (options.verify.empty() || options.depths.empty()) return rows;
    const StepShape most{1, std::ranges::max(options.verify), std::ranges::max(options.depths)};
    ATLAS_TRY(const auto runner, TimedStep::create(model, most, options.kv));
    for (const uint32_t depth : options.depths) {
        for (const uint32_t columns : options.verify) {
            if (options.stop.stop_requested()) return rows;
            if (options.progress) options.progress(fmt::format("profile of {} tokens at {}", columns, depth));
            auto of_step = profile_step(backend, *runner, {1, columns, depth}, options.repetitions);
            if (!of_step && of_step.error().code == ErrorCode::cancelled) return rows;
            ATLAS_TRY(const auto more, std::move(of_step));
            rows.insert(rows.end(), more.begin(), more.end());
        }
    }
    return rows;
}

std::string profile_tables(const std::vector<ProfileRow>& rows) {
    std::string text;
    for (size_t first = 0, end = 0; first < rows.size(); first = end) {
        double sum = 0;
        uint32_t dispatches = 0;
        for (end = first;
             end < rows.size() && rows[end].columns == rows[first].columns && rows[end].depth == rows[first].depth;
             ++end) {
            sum += rows[end].ms;
            dispatches += rows[end].dispatches;
        }
        text += fmt::format(
            "\nstep of {} at depth {}: {:.3f} ms of the device in {} dispatches, barriers between kernels included\n\n",
            rows[first].columns, rows[first].depth, sum, dispatches);
        text += "| kernel | dispatches | ms | share |\n|---|---:|---:|---:|\n";
        for (size_t i = first; i < end; ++i) {
            text += fmt::format("| {} | {} | {:.3f} | {:.1f} % |\n", rows[i].label, rows[i].dispatches, rows[i].ms,
                                sum > 0 ? 100 * rows[i].ms / sum : 0.0);
        }
    }
    return text;
}

}  // namespace atlas::bench
