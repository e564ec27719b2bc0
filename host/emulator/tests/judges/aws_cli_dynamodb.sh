#!/usr/bin/env bash
# Uses the emulator's DynamoDB through the AWS CLI: aws_cli_dynamodb.sh ENDPOINT
set -euo pipefail
endpoint="$1"
name="cli-$$-$RANDOM"
export AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=y AWS_DEFAULT_REGION=us-east-1 AWS_MAX_ATTEMPTS=1 AWS_PAGER=""

d() { aws --endpoint-url "$endpoint" --output text dynamodb "$@"; }
fail() { echo "aws cli: $*" >&2; exit 1; }
is() { [ "$2" = "$3" ] || fail "$1: got '$2', wanted '$3'"; }

d create-table --table-name "$name" --billing-mode PAY_PER_REQUEST --key-schema AttributeName=k,KeyType=HASH \
  --attribute-definitions AttributeName=k,AttributeType=S >/dev/null
d wait table-exists --table-name "$name"
is status "$(d describe-table --table-name "$name" --query Table.TableStatus)" ACTIVE
d put-item --table-name "$name" --item '{"k": {"S": "a"}, "n": {"N": "1.50"}, "s": {"SS": ["x", "y"]}}'
is number "$(d get-item --table-name "$name" --key '{"k": {"S": "a"}}' --consistent-read --query Item.n.N)" 1.5
is updated "$(d update-item --table-name "$name" --key '{"k": {"S": "a"}}' --update-expression 'ADD n :one DELETE s :x' \
  --condition-expression 'contains(s, :y) AND n < :two' --return-values ALL_NEW --query '[Attributes.n.N, Attributes.s.SS[0]]' \
  --expression-attribute-values '{":one": {"N": "1"}, ":two": {"N": "2"}, ":x": {"SS": ["x"]}, ":y": {"S": "y"}}' |
  tr '\t\n' '  ' | sed 's/ $//')" "2.5 y"
refused=$(d delete-item --table-name "$name" --key '{"k": {"S": "a"}}' --condition-expression 'attribute_exists(q)' 2>&1) &&
  fail "a condition that does not hold is passed"
[[ "$refused" == *ConditionalCheckFailedException* ]] || fail "refused: $refused"
is query "$(d query --table-name "$name" --key-condition-expression 'k = :k' --query 'Items[].n.N' \
  --expression-attribute-values '{":k": {"S": "a"}}')" 2.5
is scan "$(d scan --table-name "$name" --query Count)" 1
d delete-item --table-name "$name" --key '{"k": {"S": "a"}}'
is empty "$(d scan --table-name "$name" --query Count)" 0
d delete-table --table-name "$name" >/dev/null
d wait table-not-exists --table-name "$name"
echo "aws cli: DynamoDB as expected"
