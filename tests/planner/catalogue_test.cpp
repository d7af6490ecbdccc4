// The catalogue holds all models and cards that were collected for it, each under its own name.
#include "runtime/planner/catalogue.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <array>
#include <fstream>
#include <random>
#include <set>

#include "runtime/planner/choose.h"
#include "runtime/planner/file_shape.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace atlas {
namespace {

const Catalogue& catalogue() {
    static const Catalogue loaded = *load_catalogue({});
    return loaded;
}

TEST(CatalogueContents, EveryCollectedModel) {
    // clang-format off
    const auto ids = std::to_array<const char*>({
        "qwen2.5-coder-0.5b-instruct", "qwen2.5-coder-1.5b-instruct", "qwen2.5-coder-3b-instruct", "qwen2.5-coder-7b-instruct",
        "qwen2.5-coder-14b-instruct", "qwen2.5-coder-32b-instruct", "qwen2.5-0.5b-instruct", "qwen2.5-1.5b-instruct", "qwen2.5-3b-instruct",
        "qwen2.5-7b-instruct", "qwen2.5-14b-instruct", "qwen2.5-32b-instruct", "qwen2.5-72b-instruct", "qwen3-0.6b", "qwen3-1.7b",
        "qwen3-4b", "qwen3-8b", "qwen3-14b", "qwen3-32b", "qwen3-4b-instruct-2507", "qwen3-30b-a3b", "qwen3-30b-a3b-instruct-2507",
        "qwen3-coder-30b-a3b-instruct", "qwen3.5-0.8b", "qwen3.5-2b", "qwen3.5-4b", "qwen3.5-9b", "qwen3.5-27b", "qwen3.6-27b",
        "qwen3.8-27b", "qwen3.5-35b-a3b", "qwen3.6-35b-a3b", "deepseek-r1-distill-qwen-1.5b", "deepseek-r1-distill-qwen-7b",
        "deepseek-r1-distill-qwen-14b", "deepseek-r1-distill-qwen-32b", "deepseek-r1-distill-llama-8b", "deepseek-coder-v2-lite-instruct",
        "deepseek-coder-v2-instruct-236b", "llama-3.1-8b-instruct", "llama-3.2-1b-instruct", "llama-3.2-3b-instruct",
        "llama-3.3-70b-instruct", "llama-2-7b", "llama-2-13b", "codellama-34b-instruct", "mistral-7b-instruct-v0.3",
        "mistral-nemo-instruct-2407", "mistral-small-24b-instruct-2501", "devstral-small-2507", "codestral-22b-v0.1", "phi-4",
        "gemma-2-9b-it", "gemma-2-27b-it", "gemma-3-4b-it", "gemma-3-12b-it", "gemma-3-27b-it", "gemma-4-26b-a4b-it", "gemma-4-31b-it",
        "gpt-oss-20b", "glm-4-32b-0414", "glm-4-9b-0414", "glm-4.7-flash", "granite-3.3-8b-instruct", "granite-3.3-2b-instruct",
        "granite-8b-code-instruct-4k", "granite-34b-code-instruct-8k", "starcoder2-15b", "starcoder2-7b", "starcoder2-3b",
        "smollm2-135m-instruct", "smollm2-360m-instruct", "smollm2-1.7b-instruct", "ornith-1.0-9b", "ornith-1.0-35b", "gpt-oss-120b",
        "gemma-4-12b-it", "phi-4-mini-instruct", "granite-4.0-micro", "granite-4.1-8b"});
    // clang-format on
    EXPECT_EQ(ids.size(), 80u);
    std::set<std::string> found;
    for (const char* id : ids) {
        const auto model = catalogue().find_model(id);
        ASSERT_TRUE(model) << model.error().message;
        EXPECT_TRUE(found.insert((*model)->shape.id).second)
            << id << " is " << (*model)->shape.id << ", as another one";
        EXPECT_GT((*model)->shape.n_ctx(), 0u) << id;
        EXPECT_FALSE((*model)->source.empty()) << id;
    }
}

TEST(CatalogueContents, EveryCollectedCard) {
    const auto names = std::to_array<const char*>(
        {"RTX 3060 12GB",     "RTX 3080 10GB", "RTX 3080 12GB",    "RTX 3090",   "RTX 4060 Ti 16GB", "RTX 4070 Super",
         "RTX 4070 Ti Super", "RTX 4090",      "RTX 5060 Ti 16GB", "RTX 5070",   "RTX 5070 Ti",      "RTX 5080",
         "RTX 5090",          "Arc B580",      "RX 6800",          "RX 6800 XT", "RX 6900 XT",       "RX 7600 XT",
         "RX 7700 XT",        "RX 7800 XT",    "RX 7900 GRE",      "RX 7900 XT", "RX 7900 XTX",      "RX 9060 XT 16GB",
         "RX 9070",           "RX 9070 XT",    "H200 SXM"});
    EXPECT_EQ(names.size(), 27u);
    std::set<std::string> found;
    for (const char* name : names) {
        const auto card = catalogue().find_card(name);
        ASSERT_TRUE(card) << card.error().message;
        EXPECT_TRUE(found.insert((*card)->name).second) << name << " is " << (*card)->name << ", as another one";
        EXPECT_GT((*card)->memory_bytes, 0u) << name;
        EXPECT_GT((*card)->bandwidth_gbps, 0) << name;
        EXPECT_FALSE((*card)->source.empty()) << name;
    }
}

// A user's own measurements of a model come before ours, and errors in them are named.
TEST(CatalogueFile, AUsersCacheRowsCountBeforeOurs) {
    const TempDir dir;
    std::string warning;
    const auto load_rows = [&](const std::string& row) {
        std::ofstream(dir / "catalogue.json")
            << fmt::format(R"({{"schema": 1, "kv_loss": {{"source": "mine", "rows": [{}]}}}})", row);
        return load_catalogue(dir / "catalogue.json", &warning);
    };
    const auto mine = load_rows(R"({"k": "q8_0", "v": "q8_0", "rotation": "k", "perplexity_share": 0.5})");
    ASSERT_TRUE(mine) << mine.error().message;
    const KvCost cost = kv_cost_of(*mine, with_default_rotation(Format::q8_0), {});
    EXPECT_EQ(cost.perplexity_share, 0.5);
    EXPECT_EQ(cost.source, "mine");
    EXPECT_EQ(kv_cost_of(*mine, with_default_rotation(Format::q8_0), {false, 100}).source, "mine") << "of every model";
    EXPECT_LT(kv_cost_of(*mine, Format::q8_0, {}).perplexity_share, 0.5) << "not rotated: another row";
    for (const char* row :
         {R"({"k": "q8_0", "v": "q8_0", "rotation": "x", "perplexity_share": 0.5})",
          R"({"k": "q8_0", "perplexity_share": 0.5})", R"({"k": "q8_0", "v": "q8_0", "perplexity_share": -1})",
          R"({"k": "q8_0", "v": "q8_0", "fitted": 1, "perplexity_share": 0})", "7"}) {
        const auto broken = load_rows(row);
        ASSERT_TRUE(broken) << row;
        EXPECT_EQ(broken->kv_loss.size(), catalogue().kv_loss.size()) << row;
        EXPECT_NE(warning.find("kv_loss"), std::string::npos) << warning;
    }
}

// A damaged file of the user gives one warning and is not used; it never stops, slows or bloats the program.
TEST(CatalogueFile, ADamagedOneIsSetAsideWithOneWarning) {
    const TempDir dir;
    const auto path = dir / "catalogue.json";
    const auto damage = [&](const std::string& how) {
        if (how == "endless")
            std::filesystem::create_symlink("/dev/zero", path);
        else if (how == "pipe")
            ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
        else if (how == "long")
            std::ofstream(path) << std::string(17 << 20, ' ');
        else if (how == "folder")
            std::filesystem::create_directory(path);
        else
            std::ofstream(path) << how;
    };
    for (const char* how : {"endless", "pipe", "long", "folder", "{", "", "[1]",
                            R"({"schema": 1, "cards": [{"name": "X"}]})", "{\"schema\": \"\x1b[2J\xff\"}"}) {
        damage(how);
        std::string warning;
        const auto loaded = load_catalogue(path, &warning);
        ASSERT_TRUE(loaded) << how;
        EXPECT_EQ(loaded->cards.size(), catalogue().cards.size()) << how;
        EXPECT_NE(warning.find("catalogue.json.damaged"), std::string::npos) << how << ": " << warning;
        EXPECT_EQ(warning.find('\x1b'), std::string::npos) << how;
        EXPECT_FALSE(std::filesystem::exists(std::filesystem::symlink_status(path))) << how;
        warning.clear();
        EXPECT_TRUE(load_catalogue(path, &warning)) << how;
        EXPECT_EQ(warning, "") << how << ": it was said";
        std::filesystem::remove_all(dir / "catalogue.json.damaged");
    }
}

// A file that cannot be opened is not damaged, so it is not renamed.
TEST(CatalogueFile, OneThatCannotBeOpenedStaysWhereItIs) {
    const TempDir dir;
    const auto path = dir / "catalogue.json";
    std::ofstream(path) << R"({"schema": 1})";
    rlimit before = {};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit none = {0, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    std::string warning;
    const auto loaded = load_catalogue(path, &warning);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    ASSERT_TRUE(loaded);
    EXPECT_NE(warning.find("cannot open"), std::string::npos) << warning;
    EXPECT_TRUE(std::filesystem::exists(path)) << warning;
}

// Additions that were written before the catalogue held a file's keys describe the same models.
TEST(Catalogue, OldNamesOfRowsStillCount) {
    const auto old = parse_catalogue(R"({"schema": 1, "models": [
        {"id": "a", "arch": "qwen35", "parameters": 752393024, "n_layer": 24, "n_embd": 1024, "n_head": 8, "n_head_kv": 2, "head_dim": 256, "n_ff": 3584,
         "n_vocab": 248320, "tied": true, "n_ctx": 262144, "recurrent_full_every": 4, "recurrent_v_heads": 16, "recurrent_bytes": 20201472},
        {"id": "b", "arch": "gemma4", "parameters": 1, "n_layer": 30, "n_embd": 2816, "n_head": 16, "n_head_kv": 8, "head_dim": 256, "n_ff": 2112,
         "n_expert": 128, "n_expert_used": 8, "n_ff_expert": 704, "n_ff_shared": 2112, "n_vocab": 262144, "tied": true, "n_ctx": 262144, "window": 1024,
         "full_every": 6, "full_head_dim": 512, "full_n_head_kv": 2},
        {"id": "c", "arch": "deepseek2", "parameters": 1, "n_layer": 27, "n_embd": 2048, "n_head": 16, "n_head_kv": 16, "head_dim": 192, "v_head_dim": 128,
         "n_ff": 10944, "n_expert": 64, "n_expert_used": 6, "n_ff_expert": 1408, "n_ff_shared": 2816, "n_dense_layers": 1, "n_vocab": 102400, "tied": false,
         "n_ctx": 163840, "kv_lora_rank": 512, "rope_head_dim": 64}]})",
                                     "mine");
    ASSERT_TRUE(old) << old.error().message;
    const char* const ids[] = {"qwen3.5-0.8b", "gemma-4-26b-a4b-it", "deepseek-coder-v2-lite-instruct"};
    for (size_t i = 0; i < 3; ++i) {
        const ModelShape& mine = old->models[i].shape;
        const ModelShape& known = catalogue().find_model(ids[i]).value()->shape;
        EXPECT_EQ(count_parameters(mine), count_parameters(known)) << ids[i];
        EXPECT_EQ(cache_bytes(mine.config, 65536, Format::f16, 512), cache_bytes(known.config, 65536, Format::f16, 512))
            << ids[i];
    }
}

// Every shape of a header or a catalogue is refused or planned; nothing aborts.
TEST(ModelShapes, WhatIsNotRefusedCanBePlanned) {
    std::mt19937 random(24);
    const auto any = [&](auto... values) {
        return std::array<int64_t, sizeof...(values)>{int64_t(values)...}[random() % sizeof...(values)];
    };
    int planned = 0;
    for (int i = 0; i < 4000; ++i) {
        KeyMap keys = catalogue().models[random() % catalogue().models.size()].shape.keys;
        for (int twice = 0; twice < 2; ++twice) {
            auto entry = keys.entries().begin();
            std::advance(entry, random() % keys.entries().size());
            keys.set(std::string(entry->first), any(-1, 0, 1, 2, 3, 5, 7, 8, 33, 63, 64, 257, 1000, 4097, 65535,
                                                    1u << 26, (1u << 26) + 1, UINT32_MAX));
        }
        const auto read = shape_of_keys(keys, "");
        if (!read || read->n_layer() > 8) continue;  // many layers of random size take long
        const ModelShape& s = *read;
        const auto fit = ModelFit::create(s, "Q4_K_M");
        if (!fit) continue;
        for (const uint32_t n_ctx : {1u, std::min(4096u, s.n_ctx()), s.n_ctx()})
            EXPECT_GT(fit->at(n_ctx, Format::f16).total_bytes(), 0u);
        ++planned;
    }
    EXPECT_GT(planned, 100);
}

// A header that `run` refuses is refused here, by the same check and with the same words.
TEST(FileShape, WhatCannotBeAModelIsRefusedAsLoadingRefusesIt) {
    const TempDir dir;
    struct Case {
        const char* key;
        uint32_t value;
        const char* word;
    };
    for (const char* arch : {"llama", "unknown-arch"}) {
        for (const Case& c :
             {Case{"attention.head_count_kv", 3, "divisor"}, Case{"attention.head_count_kv", 0, "head_count_kv"},
              Case{"attention.head_count_kv", UINT32_MAX, ""}, Case{"attention.head_count", 0, "head_count"},
              Case{"attention.key_length", 0, ""}, Case{"attention.key_length", 1u << 20, ""},
              Case{"context_length", (1u << 26) + 1, "67108864"}, Case{"block_count", 0, "expected"},
              Case{"embedding_length", 0, "expected"}}) {
            testing::TinyShape shape;
            shape.n_head = 4;
            shape.n_head_kv = 2;
            shape.architecture = arch;
            shape.override_keys = {{fmt::format("{}.{}", arch, c.key), c.value}};
            testing::write_tiny_model(dir / "odd.gguf", shape);
            const auto file = gguf::File::open(dir / "odd.gguf");
            ASSERT_TRUE(file) << file.error().message;
            const auto found = shape_of_file(*file);
            ASSERT_FALSE(found) << arch << " " << c.key << " " << c.value;
            EXPECT_NE(found.error().message.find(c.word), std::string::npos) << found.error().message;
        }
    }
}

TEST(FileShape, AFittedFileIsKnownAsOne) {
    const TempDir dir;
    testing::TinyShape shape = testing::tiny_shape("llama");
    testing::write_tiny_model(dir / "plain.gguf", shape);
    shape.more = [](gguf::Writer& writer) {
        for (const char* name : {"cache_turn_k.weight", "cache_turn_q.weight", "cache_turn_k_feedback.weight",
                                 "cache_turn_v.weight", "cache_turn_v_back.weight", "cache_turn_v_feedback.weight"}) {
            writer.add_tensor(fmt::format("blk.0.{}", name), {24, 24}, Format::f32, [](std::span<std::byte>) {});
        }
        writer.add_tensor("blk.0.cache_turn_k.bias", {24}, Format::f32, [](std::span<std::byte>) {});
    };
    testing::write_tiny_model(dir / "fitted.gguf", shape);
    for (const bool fitted : {false, true}) {
        const auto file = gguf::File::open(dir / (fitted ? "fitted.gguf" : "plain.gguf"));
        ASSERT_TRUE(file);
        EXPECT_EQ(shape_of_file(*file).value().shape.fitted_cache, fitted);
    }
}

}  // namespace
}  // namespace atlas
