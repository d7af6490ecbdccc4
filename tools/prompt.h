#pragma once
// The prompt: words of the command line, a file and stdin as one text, and its tokens.

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/text/tokenizer.h"

namespace atlas::tools {

struct PromptParts {
    std::vector<std::string> words;  // "-" stands for stdin
    std::string file;                // --file
};

/// The words, then the file, then stdin, with an empty line between them; a word "-" is replaced by stdin. Stdin
/// belongs to the prompt if there is no other text, if "-" asks for it, or if it was given to this process alone: a
/// pipe or a file that is not the parent process's stdin, too. A stdin that is shared with the parent (a loop over
/// lines in a shell, a script that a CI runner pipes to a shell) is for the parent to read, and may never end; a shared
/// file of which nothing was read yet is taken. Fails: invalid_argument (no prompt), not_found, io, limit (more than 64
/// MiB).
Result<std::string> read_prompt(const PromptParts& parts);

/// All of a file, a pipe, or of stdin ("-"), at most 64 MiB. Fails: not_found, io, limit.
Result<std::string> read_text(const std::string& path);

/// A rendered chat prompt as tokens: special tokens recognised, and BOS in front where the vocabulary wants one and the
/// template wrote none.
std::vector<TokenId> chat_tokens(const Tokenizer& tokenizer, std::string_view text);

}  // namespace atlas::tools
