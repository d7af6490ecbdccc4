#pragma once
// Small vocabularies made by the tests, written as GGUF and loaded the way a model is.

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/gguf/writer.h"
#include "runtime/text/byte_alphabet.h"
#include "runtime/text/tokenizer.h"
#include "tests/support/temp_dir.h"

namespace atlas::testing {

struct Tables {
    std::string model = "gpt2";
    std::string pre = "gpt-2";
    std::vector<std::string> tokens;
    std::vector<int32_t> types;       // empty: all normal
    std::vector<float> scores;        // empty: no key
    std::vector<std::string> merges;  // empty: no key
    std::vector<std::pair<std::string, uint32_t>> ids;
    std::vector<std::pair<std::string, bool>> flags;
    std::string name, architecture;

    uint32_t add(std::string spelling, int32_t type = 1, float score = 0) {
        tokens.push_back(std::move(spelling));
        types.push_back(type);
        scores.push_back(score);
        return static_cast<uint32_t>(tokens.size() - 1);
    }
};

inline Result<void> write(const Tables& tables, const std::filesystem::path& path) {
    gguf::Writer writer;
    if (!tables.name.empty()) writer.add("general.name", tables.name);
    if (!tables.architecture.empty()) writer.add("general.architecture", tables.architecture);
    writer.add("tokenizer.ggml.model", tables.model);
    if (!tables.pre.empty()) writer.add("tokenizer.ggml.pre", tables.pre);
    if (!tables.tokens.empty()) writer.add("tokenizer.ggml.tokens", tables.tokens);
    if (!tables.types.empty()) writer.add("tokenizer.ggml.token_type", tables.types);
    if (!tables.scores.empty()) writer.add("tokenizer.ggml.scores", tables.scores);
    if (!tables.merges.empty()) writer.add("tokenizer.ggml.merges", tables.merges);
    for (const auto& [key, id] : tables.ids) writer.add("tokenizer.ggml." + key + "_token_id", id);
    for (const auto& [key, flag] : tables.flags) writer.add("tokenizer.ggml." + key, flag);
    return writer.write(path);
}

inline Result<std::shared_ptr<const Tokenizer>> load(const Tables& tables) {
    const TempDir dir;
    ATLAS_TRY_VOID(write(tables, dir / "vocabulary.gguf"));
    ATLAS_TRY(const auto file, gguf::File::open(dir / "vocabulary.gguf"));
    return Tokenizer::load(file);
}

/// All 256 bytes of GPT-2's alphabet, ids 0 to 255 in byte order.
inline Tables byte_tables(std::string pre = "gpt-2") {
    Tables tables;
    tables.pre = std::move(pre);
    for (const std::string& character : byte_alphabet()) tables.add(character);
    tables.scores.clear();
    return tables;
}

/// Adds a token and the merge that makes it.
inline uint32_t add_merge(Tables& tables, const std::string& left, const std::string& right) {
    tables.merges.push_back(left + " " + right);
    tables.tokens.push_back(left + right);
    tables.types.push_back(1);
    return static_cast<uint32_t>(tables.tokens.size() - 1);
}

inline std::vector<TokenId> plain(const Tokenizer& tokenizer, std::string_view text) {
    return tokenizer.encode(text, {.add_special = false, .parse_special = false});
}

}  // namespace atlas::testing
