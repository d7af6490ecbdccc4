#pragma once
// The list of subcommands. Each adds its flags to the app and sets a callback that runs it and stores the exit code:
// 0 done, 1 error (printed to stderr), 2 usage.

#include <CLI/CLI.hpp>
#include <array>

namespace atlas::tools {

using AddSubcommand = void (*)(CLI::App& app, int& exit_code);

void add_bench(CLI::App& app, int& exit_code);
void add_chat(CLI::App& app, int& exit_code);
void add_completion(CLI::App& app, int& exit_code);
void add_devices(CLI::App& app, int& exit_code);
void add_fit_cache(CLI::App& app, int& exit_code);
void add_inspect(CLI::App& app, int& exit_code);
void add_kernels(CLI::App& app, int& exit_code);
void add_list(CLI::App& app, int& exit_code);
void add_logits(CLI::App& app, int& exit_code);
void add_manual(CLI::App& app, int& exit_code);
void add_perplexity(CLI::App& app, int& exit_code);
void add_plan(CLI::App& app, int& exit_code);
void add_pull(CLI::App& app, int& exit_code);
void add_quantize(CLI::App& app, int& exit_code);
void add_rm(CLI::App& app, int& exit_code);
void add_run(CLI::App& app, int& exit_code);
void add_tokenize(CLI::App& app, int& exit_code);
void add_tune(CLI::App& app, int& exit_code);

// In the order of --help; main.cpp puts them into groups.
inline constexpr auto kSubcommands = std::to_array<AddSubcommand>({
    add_run,
    add_chat,
    add_plan,
    add_pull,
    add_list,
    add_rm,
    add_inspect,
    add_devices,
    add_kernels,
    add_tokenize,
    add_bench,
    add_tune,
    add_perplexity,
    add_logits,
    add_quantize,
    add_fit_cache,
    add_completion,
    add_manual,
});

}  // namespace atlas::tools
