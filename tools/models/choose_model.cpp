// Finds the files of a repository that a quantization names.
#include <algorithm>
#include <functional>
#include <iterator>
#include <set>
#include <utility>

#include "runtime/base/in_quotes.h"
#include "runtime/base/units.h"
#include "runtime/gguf/split.h"
#include "tools/models/repository.h"

namespace atlas::tools {
namespace {

constexpr size_t kMostListed = 40;

// Words in the names of GGUF files that are not models by themselves.
constexpr std::string_view kHelpers[] = {"mmproj", "imatrix", "mtp",     "eagle",  "eagle2",
                                         "eagle3", "draft",   "drafter", "dflash", "medusa"};

// What a name without a quantization fetches: the smallest loss for its size first, then what most repositories
// publish.
constexpr std::string_view kUsual[] = {"q4_k_m", "q5_k_m", "q8_0", "q4_0", "mxfp4", "bf16", "f16"};

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    return out;
}

bool is_word_character(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; }

/// One model of the repository: a file, or the parts of a split one.
struct Candidate {
    std::string path;  // in small letters, without "-00001-of-00003" and ".gguf"
    std::vector<const RemoteFile*> files;

    std::string_view name() const { return std::string_view(path).substr(path.rfind('/') + 1); }
    uint64_t bytes() const {
        uint64_t sum = 0;
        for (const RemoteFile* file : files) sum += file->bytes.value_or(0);
        return sum;
    }
};

// Whether `word` stands in `text` with no letter, digit or "_" beside it: Q4_K is not in Q4_K_M, F16 not in BF16.
bool has_word(std::string_view text, std::string_view word) {
    for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
        const size_t end = at + word.size();
        if ((at == 0 || !is_word_character(text[at - 1])) && (end == text.size() || !is_word_character(text[end])))
            return true;
    }
    return false;
}

// The same where words may be joined by "_" too: "mtp_head".
bool has_joined_word(std::string_view text, std::string_view word) {
    std::string spaced = "_" + std::string(text) + "_";
    for (char& c : spaced) c = is_word_character(c) ? c : '_';
    return spaced.find("_" + std::string(word) + "_") != std::string::npos;
}

// "model_q4_k_m": the quantization ends the name. (In the middle "_" may be part of a longer one.)
bool ends_with_word(std::string_view text, std::string_view word) {
    return text.ends_with(word) &&
           (text.size() == word.size() || !is_word_character(text[text.size() - word.size() - 1]) ||
            text[text.size() - word.size() - 1] == '_');
}

std::set<std::string> words_of(std::string_view text) {
    std::set<std::string> words;
    for (std::string word; !text.empty(); text.remove_prefix(1)) {
        if (is_word_character(text.front())) word += text.front();
        if ((!is_word_character(text.front()) || text.size() == 1) && !word.empty())
            words.insert(std::exchange(word, {}));
    }
    return words;
}

// A repository whose own name has such a word holds models of that name.
bool is_helper(const Candidate& candidate, const std::string& repository) {
    return std::ranges::any_of(kHelpers, [&](std::string_view word) {
        return has_joined_word(candidate.path, word) && !has_joined_word(repository, word);
    });
}

std::vector<Candidate> candidates_of(const std::vector<RemoteFile>& files, const std::string& repository) {
    std::vector<Candidate> candidates;
    for (const RemoteFile& file : files) {
        if (!lower(file.file_name).ends_with(".gguf")) continue;
        const auto split = gguf::split_name(file.file_name);
        const std::string path = lower(split ? split->stem : file.file_name.substr(0, file.file_name.size() - 5));
        auto found = std::ranges::find(candidates, path, &Candidate::path);
        if (found == candidates.end()) found = candidates.insert(candidates.end(), {path, {}});
        found->files.push_back(&file);
    }
    std::erase_if(candidates, [&](const Candidate& c) { return is_helper(c, repository); });
    return candidates;
}

std::string list_of(const std::vector<Candidate>& candidates) {
    std::string text;
    for (size_t i = 0; i < std::min(candidates.size(), kMostListed); ++i) {
        const RemoteFile& first = *candidates[i].files.front();
        const std::string size =
            candidates[i].bytes() > 0 ? fmt::format(" ({})", bytes_text(candidates[i].bytes())) : "";
        text += fmt::format("{}{}{}", i == 0 ? "" : ", ", printable(first.file_name, 200), size);
    }
    if (candidates.size() > kMostListed) text += fmt::format(" and {} more", candidates.size() - kMostListed);
    return text;
}

// The models whose names hold the quantization, by the strictest rule that finds any.
std::vector<Candidate> with_quant(const std::vector<Candidate>& candidates, const std::string& repository,
                                  const std::string& quant) {
    std::string base = repository.substr(repository.find('/') + 1);
    if (const size_t ending = base.rfind("gguf");
        ending != std::string::npos && ending > 0 && ending + 4 == base.size())
        base.resize(ending - 1);
    const auto is_named = [&](const Candidate& c) {
        return quant == c.path || quant == c.name() || quant == std::string(c.name()) + ".gguf" ||
               quant == c.path + ".gguf";
    };
    const auto is_exact = [&](const Candidate& c) {
        return c.name().size() == base.size() + 1 + quant.size() && c.name().starts_with(base) &&
               std::string_view("-._").find(c.name()[base.size()]) != std::string_view::npos &&
               c.name().ends_with(quant);
    };
    const std::function<bool(const Candidate&)> rules[] = {
        is_named, is_exact, [&](const Candidate& c) { return has_word(c.name(), quant); },
        [&](const Candidate& c) { return ends_with_word(c.name(), quant); },
        [&](const Candidate& c) { return has_word(c.path, quant); }};
    for (const auto& rule : rules) {
        std::vector<Candidate> found;
        std::ranges::copy_if(candidates, std::back_inserter(found), rule);
        if (!found.empty()) return found;
    }
    return {};
}

// The one whose name has no words that the others lack: "m-Q4_K_M" beside "m-UD-Q4_K_M". Null: there is no such one.
const Candidate* plainest(const std::vector<Candidate>& candidates) {
    for (const Candidate& candidate : candidates) {
        const auto words = words_of(candidate.path);
        const bool in_all = std::ranges::all_of(candidates, [&](const Candidate& other) {
            const auto theirs = words_of(other.path);
            return &other == &candidate || (theirs.size() > words.size() && std::ranges::includes(theirs, words));
        });
        if (in_all) return &candidate;
    }
    return nullptr;
}

Result<std::vector<RemoteFile>> parts_of(const Candidate& candidate) {
    std::vector<RemoteFile> parts;
    for (const RemoteFile* file : candidate.files) parts.push_back(*file);
    std::ranges::sort(parts, {}, &RemoteFile::file_name);
    const auto split = gguf::split_name(parts.front().file_name);
    for (size_t i = 0; i < (split ? split->count : 1); ++i) {
        if (split &&
            (i >= parts.size() || parts[i].file_name != gguf::split_path(*split, static_cast<uint32_t>(i)).string()))
            return fail(ErrorCode::corrupt, "{}: the repository lacks part {} of {}",
                        printable(parts.front().file_name, 200), i + 1, split->count);
    }
    if (parts.size() != (split ? split->count : 1))
        return fail(ErrorCode::corrupt, "{}: the repository holds it more than once",
                    printable(parts.front().file_name, 200));
    for (RemoteFile& part : parts) part.file_name = part.file_name.substr(part.file_name.rfind('/') + 1);
    return parts;
}

}  // namespace

Result<std::vector<RemoteFile>> choose_model(const std::vector<RemoteFile>& files, const Repository& repository) {
    const std::string name = lower(repository.name);
    const auto candidates = candidates_of(files, name);
    if (candidates.empty()) return fail(ErrorCode::not_found, "hf:{} holds no GGUF file of a model", repository.name);
    std::vector<Candidate> found;
    if (!repository.quant.empty()) {
        found = with_quant(candidates, name, lower(repository.quant));
    } else if (candidates.size() == 1) {
        found = candidates;
    } else {
        for (const std::string_view quant : kUsual) {
            if (found.empty()) found = with_quant(candidates, name, std::string(quant));
        }
    }
    if (found.empty()) {
        const std::string missing = repository.quant.empty() ? "none of the usual quantizations"
                                                             : "no quantization " + in_quotes(repository.quant);
        return fail(ErrorCode::not_found, "hf:{} has {}; there are: {}. Say which: hf:{}:QUANT or hf:{}:FILE.gguf",
                    repository.name, missing, list_of(candidates), repository.name, repository.name);
    }
    if (found.size() == 1) return parts_of(found.front());
    if (const Candidate* one = plainest(found)) return parts_of(*one);
    return fail(ErrorCode::invalid_argument,
                "hf:{} has several models that {} may mean: {}. Say which: hf:{}:FILE.gguf", repository.name,
                in_quotes(repository.quant.empty() ? "the usual quantization" : repository.quant), list_of(found),
                repository.name);
}

}  // namespace atlas::tools
