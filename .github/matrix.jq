# From `echora-images providers --json` to a job for each provider and processor. $chosen: ids with spaces between; empty for all.
($chosen | split(" ") - [""]) as $ids
| ($ids - map(.id)) as $unknown
| if $unknown != [] then error("no such provider: " + ($unknown | join(", "))) else . end
| [
    .[]
    | select($ids == [] or IN(.id; $ids[]))
    | {id, token: .token_environment, holds: .token_holds, account: [.account[].environment]}
      + {architecture: [.bases[].architecture] | unique | .[]}
  ]
