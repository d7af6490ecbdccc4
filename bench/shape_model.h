#pragma once
// A model without a file: its shape from the catalogue, its formats from a quantization recipe, its weights random. It
// takes the memory and time of the real one, so that a model can be measured on a card without fetching it.

#include <filesystem>
#include <memory>
#include <string_view>

#include "runtime/model/load.h"
#include "runtime/planner/model_shape.h"

namespace atlas::bench {

/// "qwen2.5-coder-32b:q4_k_m"
struct ShapeWish {
    ModelShape shape;
    std::string quantization;  // "Q4_K_M"
    std::string name() const { return shape.id + ":" + quantization; }
};

/// NAME:QUANTIZATION; the catalogue's models, and two shapes of our own: test-281m (16 layers, 1024 wide) and
/// test-tiny. Fails: invalid_argument (no colon), not_found (unknown name or quantization: the nearest ones).
Result<ShapeWish> find_shape(std::string_view text);

/// Writes the head of its GGUF file, and makes the file as long as it would be: its weights read as zeros. Fails: io.
Result<void> write_shape(const ShapeWish& wish, const std::filesystem::path& path);

/// Loads it with random weights. No file of the model's size is written and no host memory of its size is used.
/// Fails: unsupported (an architecture this build cannot run), out_of_memory, io (the temporary folder).
Result<std::shared_ptr<const Model>> load_shape(const ShapeWish& wish, Backend& backend, const SessionShape& session);

}  // namespace atlas::bench
