#pragma once
// The list of subcommands. Each adds its flags to the app and sets a callback that runs it and stores the exit code:
// 0 done, 1 error (printed to stderr), 2 usage.

#include <CLI/CLI.hpp>
#include <array>

namespace atlas::tools {

using AddSubcommand = void (*)(CLI::App& app, int& exit_code);

void add_devices(CLI::App& app, int& exit_code);
void add_list(CLI::App& app, int& exit_code);
void add_pull(CLI::App& app, int& exit_code);
void add_rm(CLI::App& app, int& exit_code);
void add_logits(CLI::App& app, int& exit_code);
void add_quantize(CLI::App& app, int& exit_code);
void add_tokenize(CLI::App& app, int& exit_code);

inline constexpr auto kSubcommands = std::to_array<AddSubcommand>({add_list, add_pull, add_rm, add_devices, add_logits, add_quantize, add_tokenize});

}  // namespace atlas::tools
