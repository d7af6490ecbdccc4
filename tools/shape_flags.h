#pragma once
// The flags of commands that measure a model from a file or from a shape.

#include <CLI/CLI.hpp>
#include <string>

#include "tools/flag_checks.h"

namespace atlas::tools {

/// -m, --shape and --device.
inline void add_shape_flags(CLI::App& command, std::string& model, std::string& shape, std::string& device) {
    command.add_option("-m,--model", model, "Use this model: a stored name or a path to a .gguf file");
    command
        .add_option("--shape", shape,
                    "Use a model with random weights instead: NAME:QUANTIZATION, as qwen2.5-coder-7b:q4_k_m")
        ->check(shape_name(), "");
    command.add_option("--device", device, "Use this device: its index, a part of its name, or its UUID");
}

}  // namespace atlas::tools
