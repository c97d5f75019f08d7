"""Long imputations."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    time = sa.DateTime(timezone=True)
    op.create_table(
        "imputation",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("owner", sa.String(), nullable=False, index=True),
        sa.Column("sample_id", sa.String(), nullable=False, index=True),
        sa.Column("sample_name", sa.String(), nullable=False),
        sa.Column("idempotency_key", sa.String()),
        sa.Column("request_sha256", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False, index=True),
        sa.Column("reason", sa.String()),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("scores", sa.JSON()),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("bins_done", sa.BigInteger(), nullable=False),
        sa.Column("bins_total", sa.BigInteger(), nullable=False),
        sa.Column("bins_per_second", sa.Float()),
        sa.Column("runner", sa.String()),
        sa.Column("lease", time),
        sa.Column("created", time, nullable=False),
        sa.Column("started", time),
        sa.Column("ended", time),
        sa.Column("expires", time),
        sa.UniqueConstraint("owner", "idempotency_key"),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("imputation")
