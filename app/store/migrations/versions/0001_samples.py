"""Keys, samples and tracks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("owner", sa.String(), nullable=False, index=True),
        sa.Column("secret_sha256", sa.String(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "sample",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("owner", sa.String(), nullable=False, index=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("assembly", sa.String()),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "track",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("sample_id", sa.String(), sa.ForeignKey("sample.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("mark", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("file_name", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False, index=True),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=False),
        sa.Column("assembly", sa.String()),
        sa.Column("quality", sa.JSON()),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("problem", sa.JSON()),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("sample_id", "mark"),
    )


def downgrade() -> None:
    """Undo."""
    for table in ("track", "sample", "api_key"):
        op.drop_table(table)
